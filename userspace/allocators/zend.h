// SPDX-License-Identifier: Apache-2.0
// The heap of PHP (the Zend memory manager of PHP 7 and 8; tried with 8.2): chunks of 2 MiB at multiples of that size. The first
// page of each says which of the others are taken, by a bitmap and by words, which have to agree. No symbols are needed.
//
//   chunk 7f4a'2c200000   { heap 7f4a'2c200040, next, prev, 309 pages free ... }
//                         bitmap  1111 1111 0000 ...       509 words: page 1 a run of 3 pages with slots of 1,792 bytes, ...
//   heap  7f4a'2c200040   in the first chunk: the first free slot of each of 30 sizes, the list of huge blocks, chunks kept for later
//
// A slot is free when it is in the list of its size. Chunks without a taken page are kept for later requests: free.
#pragma once

#include "allocators/block_heap.h"

namespace memwhy::allocators {

class Zend final : public BlockReader {
 public:
  const char* name() const override { return kZend; }
  const char* title() const override { return "PHP"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  static constexpr uint64_t kChunk = 2 << 20;
};

}  // namespace memwhy::allocators
