// SPDX-License-Identifier: Apache-2.0
// Arenas of mimalloc 3: its memory, in slices of 64 KiB, and of a slice that begins a page the blocks in use. Segments of
// mimalloc 2 are mimalloc.cpp's.
//
//   arena 3cc'84400000   { memory of the system, 16,384 slices, 5 of its own, bitmaps [ free, committed, dirty, purge ] }
//     slice 5    page { 8 slices, 26 of 26 blocks of 20,480 bytes in use, memory { this arena, slice 5, 8 slices } }
//     slice 13   free by the bitmap
//     slice 14   neither: the allocator's own
// Where the fields are differs between 3.0 and 3.4, and pages are described where they begin or, from 3.3 on, in a table of the
// arena. So nothing is taken by its place alone: a page names its arena and slice, a bitmap must agree with what has been found.
#pragma once

#include <cstdint>
#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

struct MimallocArena {
  uint64_t address = 0, slices = 0, own_slices = 0;
  uint64_t free_map = 0;  // a bit for each slice
  uint64_t table = 0;     // what may be one of the pages; 0: none

  static constexpr uint64_t kSliceBytes = 64 << 10;
};

// What is missing for want of budget is known by memory.step().
std::vector<MimallocArena> mimalloc_arenas(HeapMemory& memory);
// Its slices as blocks. false: it contradicts itself, or there is no page in it.
bool add_arena(HeapMemory& memory, const MimallocArena& arena, BlockTables& out);

}  // namespace memwhy::allocators
