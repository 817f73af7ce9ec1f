// SPDX-License-Identifier: Apache-2.0
// The heap of V8 (node, deno, electron; tested with 9.4, 11.3, 12.4, 13.6 and 14.1): pages of 256 KiB, at multiples of that size, each with a header
// that contains its own address, which proves it. No symbols are needed. Not the objects in the heap, and not what lies
// outside of it (ArrayBuffers, Buffers: the C heap's).
//
//   V8 9 to 11  0x8d3be40000   { size 0x40000, flags, heap, objects from 0x8d3be41148 to 0x8d3be80000, 0x3eeb0 B of them in use,
//                                ..., owner, allocator, region 0x8d3be40000, its size 0x40000 }
//   V8 12       0x724ff40000   { flags, 0x724ff40000, size 0x40000, heap, objects from 0x724ff41140 to 0x724ff80000, 0x3eea0 B
//                                of them in use, ..., owner, allocator, region 0x724ff40000, its size 0x40000 }
//   V8 13, 14   0x4aeb040000   { flags, record 0x6bbfd90 } ─► { allocator, region 0x4aeb040000, its size 0x40000, in use, ...,
//                                size, objects to, heap, objects from, owner }
// A larger page holds one object. Half of the young pages are empty between two collections: they are a line of their own.
#pragma once

#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

// Where code of V8's could be.
bool is_made_code(const events::Vma& vma);

class V8 final : public BlockReader {
 public:
  const char* name() const override { return kV8; }
  const char* title() const override { return "V8"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  static constexpr uint64_t kPage = 256 << 10;
};

}  // namespace memwhy::allocators
