// SPDX-License-Identifier: Apache-2.0
// CPython's arenas in made-up memory.
#pragma once

#include <initializer_list>

#include "allocators/pymalloc.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::python {

inline constexpr uint64_t kData = 0x7f00'0000'0000, kTable = 0x5555'0000'1010, kArenas = 0x7f10'0000'0000;
inline constexpr uint64_t kArena = 1 << 20, kPool = 16 << 10, kHeader = 48;

// A libpython with a table of 16 * 2^n entries.
struct MadePython : MadeProcess {
  explicit MadePython(size_t entries = 16) {
    map({kData, kData + 0x4000}, "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", 5);
    map({0x5555'0000'0000, 0x5555'0010'0000}, "[heap]");
    memory.put_word(kData + 0x1238, kTable);
    for (size_t i = 0; i < entries; ++i) entry(i, 0, 0, i + 1 < entries ? kTable + 48 * (i + 1) : 0);
  }
  void entry(size_t i, uint64_t address, uint64_t next_pool, uint64_t next) {
    memory.put_words(kTable + 48 * i,
                     {address, next_pool, address == 0 ? 0 : uint64_t{64} << 32, 0, next, 0});
  }
  // Pools with so many blocks of 336 bytes in use.
  uint64_t arena(size_t i, std::initializer_list<uint32_t> pools) {
    const uint64_t at = kArenas + i * 2 * kArena;
    map({at, at + kArena}, "");
    uint64_t pool = at;
    for (const uint32_t used : pools) {
      memory.put_words(pool, {used, 0, 0, 0, uint64_t{20} << 32 | i, uint64_t{kPool - 336} << 32});
      for (uint64_t page = pool + kPageBytes; page < pool + kPool; page += kPageBytes)
        memory.put_word(page, 0);
      pool += kPool;
    }
    entry(i, at, pool, 0);
    return at;
  }
  events::AllocatorHeap heap() { return read_with(Pymalloc()); }
};

}  // namespace memwhy::allocators::test::python
