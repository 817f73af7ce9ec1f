// SPDX-License-Identifier: Apache-2.0
// How large the thread stacks are that an owner holds, and how many of that size glibc keeps for new threads. How much of them
// is resident is in the ledger.
#pragma once

#include <cstdint>

#include "explain/rules/rule.h"

namespace memwhy::explain {

constexpr uint64_t kSpareStackBytes = uint64_t{40} << 20;  // glibc's stack_cache_maxsize

// Virtual bytes of one, on average over those whose mappings are known; 0: none is.
inline uint64_t stack_bytes(const Case& c, Owner owner) {
  uint64_t bytes = 0, stacks = 0;
  uint32_t last = kNoIndex;
  for (const Cell& cell : c.attribution.cells) {
    if (cell.owner != owner || cell.mapping == kNoIndex || cell.mapping == last) continue;
    last = cell.mapping;
    bytes += c.attribution.mappings[cell.mapping].vma.range.bytes();
    ++stacks;
  }
  return stacks == 0 ? 0 : bytes / stacks;
}

}  // namespace memwhy::explain
