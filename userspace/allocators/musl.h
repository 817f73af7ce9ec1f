// SPDX-License-Identifier: Apache-2.0
// musl's mallocng (1.2.1 and later), shared or static. A secret word in its data is repeated at the beginning of each page of
// metadata; groups of slots of one size point to their metadata, which points back.
//
//   .data   secret 0x5e..c1 ... head ─► meta area { 0x5e..c1, next, slots 97 | meta, meta, ... of 40 bytes }
//   meta    { group 7f12'40001000, slots 0-9, 3 available, 1 freed, class of 160 bytes }      in use 6 x 160 B
//   meta    { group 7f12'40100000, one slot, 25 pages }                                       a mapping of its own: in use whole
// musl returns a group when all of it is free, and has no call for the rest: nothing is returnable.
#pragma once

#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

class Musl final : public BlockReader {
 public:
  const char* name() const override { return kMusl; }
  const char* title() const override { return "musl's malloc"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

 private:
  // Whether the pointer at `place` is the one to the first area; remembers it then.
  bool is_head(HeapMemory& memory, uint64_t place, uint64_t area);

  uint64_t secret_ = 0, head_at_ = 0;  // the word, and the place of the pointer to the first area
};

}  // namespace memwhy::allocators
