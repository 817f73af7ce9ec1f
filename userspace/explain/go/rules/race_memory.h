// SPDX-License-Identifier: Apache-2.0
// What the shapes of TSan's own mappings reveal, for the rules about race builds. By the cells that have kept their mapping: the
// heaviest, in a process with more than kMostCells.
#pragma once

#include "explain/attribution.h"

namespace memwhy::explain {

struct RaceMemory {
  // Of race.internal: in one block of 2^n + 4 KiB (a call stack of TSan that doubles); in blocks of 1 MiB.
  uint64_t doubled_bytes = 0, block_bytes = 0;
  uint64_t by_shape_bytes = 0;  // of race.internal: only the shape of the mapping speaks for it
  AddressRange shadow;          // from the first mapping with pages to the last
};

RaceMemory race_memory(const Attribution& attribution);

}  // namespace memwhy::explain
