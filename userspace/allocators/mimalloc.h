// SPDX-License-Identifier: Apache-2.0
// mimalloc 2 and 3: as libmimalloc, linked into a program, or bundled in a library beside another allocator. It has no table
// to find. The segments of mimalloc 2 lie at multiples of 32 MiB, and each describes its slices of 64 KiB; mimalloc 3 has
// arenas (mimalloc_arenas.h).
//
//   segment 7f12'40000000   { ..., 3 slices of its own, normal, 512 entries, thread 7f.., slices [ ]
//     slice 0   { 3 slices }                                      the segment's own
//     slice 3   { 1 slice, 97 blocks of 640 bytes in use }        a page: in use 62,080 B
//     slice 4   { 508 slices }                                    free
// mi_collect(true) returns free slices of the calling thread only, and not of each segment: so no number is promised.
#pragma once

#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

class Mimalloc final : public BlockReader {
 public:
  const char* name() const override { return kMimalloc; }
  const char* title() const override { return "mimalloc"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  static constexpr uint64_t kSegmentBytes = uint64_t{32} << 20;
};

}  // namespace memwhy::allocators
