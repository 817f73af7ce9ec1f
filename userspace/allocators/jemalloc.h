// SPDX-License-Identifier: Apache-2.0
// jemalloc 5.0 to 5.3 for addresses of 48 bits: shared, static or prefixed (Rust), without symbols. Its tree (radix_map.h) leads
// to an extent for each stretch of memory that it has:
//
//   extent { state active, slab of blocks of 160 bytes, 3 free | 7f12'40003000 | 20,480 }        in use 125 x 160 B
//   extent { state active, large, size class 20 KiB            | 7f12'40010000 | 24,576 }        in use 20 KiB
//   extent { state dirty                                       | 7f12'40200000 | 1 MiB  }        free; a purge returns what is resident
// Which release: bits lie elsewhere in each, and only the right reading makes every slab's size fit its class. Objects in
// caches of threads count as used. Not read: builds for 57-bit addresses, with a tree of three levels.
#pragma once

#include <optional>
#include <utility>

#include "allocators/block_heap.h"
#include "allocators/module_data.h"

namespace memwhy::allocators {

class Jemalloc final : public BlockReader {
 public:
  explicit Jemalloc(MayHold may_hold = {}) : may_hold_(std::move(may_hold)) {}
  const char* name() const override { return kJemalloc; }
  const char* title() const override { return "jemalloc"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

  static constexpr uint64_t kLeastData = uint64_t{2} << 20;  // the root is as large

 private:
  const MayHold may_hold_;
  std::optional<uint64_t> root_;
};

}  // namespace memwhy::allocators
