// SPDX-License-Identifier: Apache-2.0
// CPython's arenas in made-up memory: found wherever the pointer to their table stands, read to the byte, and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "unit/allocators/made_python.h"

namespace memwhy::allocators {
namespace {

using namespace test::python;

TEST(Pymalloc, IsReadToTheByte) {
  MadePython made;
  made.arena(0, {12, 0, 48});
  made.arena(1, {1});
  const events::AllocatorHeap heap = made.heap();
  EXPECT_EQ(heap.arenas, 2u);
  EXPECT_EQ(heap.used_bytes, 61 * 336 + 3 * kHeader);
  EXPECT_EQ(heap.used_bytes + heap.pinned_bytes, 4 * kPool) << "what is resident of them";
  EXPECT_EQ(heap.system_bytes, 2 * kArena);
  EXPECT_EQ(heap.problem, "");
}

TEST(Pymalloc, ArenasBehindManyUnusedEntriesAreSeen) {
  MadePython made(1024);
  made.arena(3, {5});
  made.arena(900, {7});
  EXPECT_EQ(made.heap().arenas, 2u);
  EXPECT_EQ(made.heap().used_bytes, 12 * 336 + 2 * kHeader);
}

TEST(Pymalloc, IsFoundByAnotherPointerIntoItsTable) {
  MadePython made(1024);
  made.arena(500, {5});  // the first 16 entries are unused; another variable points to the entry
  made.memory.put_word(kData + 0x2000, kTable + 500 * 48);
  EXPECT_EQ(made.heap().used_bytes, 5 * 336 + kHeader);
}

TEST(Pymalloc, AMovedTableIsFoundAgain) {
  MadePython made;
  made.arena(0, {12});
  BlockHeap heap = made.open(std::make_unique<Pymalloc>());
  EXPECT_EQ(heap.read(made.scan()).heap->arenas, 1u);
  made.memory.put_word(kData + 0x1238, kTable + 0x8000);
  for (size_t i = 0; i < 32; ++i)
    made.memory.put_words(kTable + 0x8000 + 48 * i,
                          {0, 0, 0, 0, i < 31 ? kTable + 0x8000 + 48 * (i + 1) : 0, 0});
  const uint64_t at = made.arena(1, {3});  // in the old table, which is not looked at any more
  made.memory.put_words(kTable + 0x8000, {kArenas, kArenas + kPool, uint64_t{64} << 32, 0, 0, 0});
  made.memory.put_words(kTable + 0x8000 + 48, {at, at + kPool, uint64_t{64} << 32, 0, 0, 0});
  EXPECT_EQ(heap.read(made.scan()).heap->used_bytes, 15 * 336 + 2 * kHeader);
}

TEST(Pymalloc, APoolThatIsSwappedCountsAsUsed) {
  MadePython made;
  const uint64_t at = made.arena(0, {12, 1, 1});
  made.memory.drop((at + kPool) >> kPageShift);
  const events::AllocatorHeap heap = made.heap();
  EXPECT_EQ(heap.unknown_bytes, kPool);
  EXPECT_EQ(heap.used_bytes, 13 * 336 + 2 * kHeader + kPool);
}

TEST(Pymalloc, AnArenaThatIsNoneAddsNothingUnknown) {
  MadePython made(64);
  for (size_t i = 0; i < 30; ++i) made.arena(i, {12});
  made.memory.put_word(kArenas + 7 * 2 * kArena + 32, uint64_t{20} << 32 | 9);  // says that it is arena 9
  const events::AllocatorHeap heap = made.heap();
  EXPECT_EQ(heap.arenas, 29u);
  EXPECT_EQ(heap.used_bytes, 29 * (12 * 336 + kHeader));
  EXPECT_EQ(heap.unknown_bytes, 0u);
}

TEST(Pymalloc, WhatOnlyLooksLikeATableIsNone) {
  MadePython wrong_number;
  wrong_number.arena(0, {12});
  wrong_number.memory.put_word(kArenas + 32, uint64_t{20} << 32 | 7);  // says that it is arena 7
  EXPECT_FALSE(wrong_number.finds(Pymalloc()));
  MadePython wrong_size;
  wrong_size.arena(0, {12});
  wrong_size.memory.put_word(kArenas + 40, uint64_t{kPool - 320} << 32);
  EXPECT_FALSE(wrong_size.finds(Pymalloc()));
  MadePython unmapped;
  unmapped.arena(0, {12});
  unmapped.vmas.pop_back();
  EXPECT_FALSE(unmapped.finds(Pymalloc()));
}

TEST(Pymalloc, OnlyPythonsFilesAreSearched) {
  EXPECT_TRUE(is_python("/usr/bin/python3.11"));
  EXPECT_TRUE(is_python("/usr/lib/python3/_json.cpython-311-x86_64-linux-gnu.so"));
  EXPECT_FALSE(is_python("/home/python/bin/server"));
}

// Whatever stands there: it ends, and what is told is not more than what is resident.
TEST(Pymalloc, DamagedTablesEnd) {
  std::mt19937_64 random(7);
  for (int run = 0; run < 300; ++run) {
    MadePython made(64);
    for (size_t i = 0; i < 8; ++i) made.arena(i, {12, 0, 3});
    for (int damage = 0; damage < 20; ++damage) {
      const uint64_t place = random() % 2 == 0
                                 ? kTable + random() % (64 * 48) / 8 * 8
                                 : kArenas + random() % 16 * kArena + random() % 3 * kPool + random() % 6 * 8;
      made.memory.put_word(place, random() % 3 == 0 ? random() : kTable + random() % 8192);
    }
    const events::AllocatorHeap heap = made.heap();
    EXPECT_LE(heap.used_bytes + heap.pinned_bytes, made.resident_bytes());
  }
}

}  // namespace
}  // namespace memwhy::allocators
