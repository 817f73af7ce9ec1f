// SPDX-License-Identifier: Apache-2.0
#include "explain/go/rules/race_memory.h"

#include <algorithm>
#include <bit>

#include "explain/mapping.h"

namespace memwhy::explain {

RaceMemory race_memory(const Attribution& attribution) {
  RaceMemory out;
  for (const Cell& cell : attribution.cells) {
    if (cell.mapping == kNoIndex) continue;
    const Mapping& mapping = attribution.mappings[cell.mapping];
    const AddressRange& range = mapping.vma.range;
    if (cell.owner == Owner::kRaceShadow) {
      out.shadow = out.shadow.empty() ? range
                                      : AddressRange{std::min(out.shadow.start, range.start),
                                                     std::max(out.shadow.end, range.end)};
    }
    if (cell.owner != Owner::kRaceInternal) continue;
    const bool touched = cell.stack != kNoIndex && attribution.stacks[cell.stack].touched == StackKind::kRace;
    if (mapping.by_shape && !touched) out.by_shape_bytes += cell.bytes();
    if (range.bytes() > kMiB && std::has_single_bit(range.bytes() - kPageBytes))
      out.doubled_bytes += cell.bytes();
    if (range.bytes() % kMiB == 0) out.block_bytes += cell.bytes();
  }
  return out;
}

}  // namespace memwhy::explain
