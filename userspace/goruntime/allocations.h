// SPDX-License-Identifier: Apache-2.0
// What a Go program has allocated since it started, by size class: the sum of the three parts of its consistent heap
// statistics. Not what is in use: dead objects count too.
//
//   smallAllocCount   [1] 8 B: 41,200   [2] 16 B: 98,311   ...   [67] 32 KiB: 14      (of each part)
//   largeAlloc        671,088,640 B     largeAllocCount 10        in whole Go pages
//   Σ objects × size + largeAlloc = totalAlloc: the self-test
#pragma once

#include <optional>

#include "events/go_runtime.h"
#include "goruntime/globals.h"

namespace memwhy::goruntime {

// `total_alloc`: as read just before. nullopt: not present, or the parts don't sum to it within 1 % (the runtime was moving
// its statistics from one part to another).
std::optional<events::GoAllocations> read_allocations(remote::RemoteMemory& memory, const Globals& globals,
                                                      uint64_t total_alloc);

}  // namespace memwhy::goruntime
