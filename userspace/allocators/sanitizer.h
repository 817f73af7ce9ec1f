// SPDX-License-Identifier: Apache-2.0
// Programs built with AddressSanitizer, MemorySanitizer or ThreadSanitizer (C, C++; also Go's -asan and -msan): their shadow, and
// the memory that their own malloc hands out, lie at addresses that are built into the instrumented code.
//
//   AddressSanitizer   shadow  7fff'7000 .. 1000'7fff'8000     malloc  6000'0000'0000 .. 6400'0000'0000
//   the fact           a mapping that ends where the shadow ends, and covers most of it: no other program has one
// Which of malloc's blocks are in use is not read: freed ones stay in a quarantine, which is what finds uses after free.
// Not Go's -race: explain/race_layout.h.
#pragma once

#include <vector>

#include "allocators/block_heap.h"

namespace memwhy::allocators {

struct SanitizerLayout {
  const char* title;
  AddressRange shadow;    // with what else it has for each word of memory
  uint64_t shadow_end;    // where a mapping of it ends
  uint64_t shadow_bytes;  // that this mapping has at least
  AddressRange heap;
};

// nullptr: none of them.
const SanitizerLayout* sanitizer_of(const std::vector<events::Vma>& vmas);

class Sanitizer final : public BlockReader {
 public:
  const char* name() const override { return kSanitizer; }
  const char* title() const override { return layout_ == nullptr ? "a sanitizer" : layout_->title; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

 private:
  const SanitizerLayout* layout_ = nullptr;
};

}  // namespace memwhy::allocators
