// SPDX-License-Identifier: Apache-2.0
// tcmalloc of gperftools (2.x, pages of 8 KiB): its tree (radix_map.h) leads to a span for each run of pages that it has. Google's
// newer tcmalloc shares the name, not the tables.
//
//   span { page 0x3f89'20000, 2 pages, ... 83 blocks out, size class 12, in use }        in use 83 x 192 B
//   span { page 0x3f89'20010, 130 pages, ... in use }                                    one block: all of it
//   span { page 0x3f89'21000, 512 pages, ... free }                                      ReleaseFreeMemory() returns what is resident
// A block in a thread's cache, or on its way between caches, is not free in its span and counts as used.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "allocators/block_heap.h"
#include "allocators/module_data.h"

namespace memwhy::allocators {

class Tcmalloc final : public BlockReader {
 public:
  explicit Tcmalloc(MayHold may_hold = {}) : may_hold_(std::move(may_hold)) {}
  const char* name() const override { return kTcmalloc; }
  const char* title() const override { return "tcmalloc"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  static constexpr uint64_t kLeastData = uint64_t{1} << 20;  // the root is as large

 private:
  const MayHold may_hold_;
  std::optional<uint64_t> root_;
  std::vector<uint32_t> sizes_;  // by size class; empty: not found, and small spans count as used whole
};

}  // namespace memwhy::allocators
