// SPDX-License-Identifier: Apache-2.0
// mimalloc's segments and musl's groups in made-up memory: found, read to the byte, and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "allocators/musl.h"
#include "unit/allocators/made_groups.h"

namespace memwhy::allocators {
namespace {

using namespace test::groups;

TEST(Mimalloc, IsReadToTheByte) {
  MadeMimalloc made;
  made.usual();
  const events::AllocatorHeap heap = made.read_with(Mimalloc());
  EXPECT_EQ(heap.used_bytes, 97 * 640 + 65536) << "of the larger page one slice is resident";
  EXPECT_EQ(heap.pinned_bytes, 65536 - 97 * 640);
  EXPECT_EQ(heap.top_bytes, kSlice) << "free, but no call returns it for certain";
  EXPECT_EQ(heap.trimmable_bytes, 0u);
}

TEST(Mimalloc, SegmentsThatTheBudgetLeftOutWereNotInMotion) {
  MadeMimalloc made;
  made.usual();
  made.map({kSegment + Mimalloc::kSegmentBytes, kSegment + 2 * Mimalloc::kSegmentBytes}, "");
  const uint64_t second = kSlices + Mimalloc::kSegmentBytes;
  made.memory.put_words(second - 40, {512, 1, 0, 512, 0x7fd8'58b4'e740, 1});
  remote::Budget budget({.read_bytes = 2 * 576 + 512 * 80 + 1000});  // two heads, the slices of one
  remote::MeteredMemory metered(made.memory, budget);
  HeapMemory memory(metered, [&made] { return made.vmas; }, {});
  ASSERT_TRUE(memory.refresh());
  const Result<BlockTables> tables = Mimalloc().read(memory);
  ASSERT_TRUE(tables.ok());
  EXPECT_EQ(tables->arenas, 1u);
  EXPECT_EQ(tables->problem, "there are more segments or arenas than one reading may read");
}

TEST(Mimalloc, SlicesThatDoNotFollowAreNoSegment) {
  MadeMimalloc made;
  made.usual();
  made.slice(10, 503, 0, 0, 0);
  EXPECT_FALSE(made.finds(Mimalloc()));
}

TEST(MimallocArena, IsReadToTheByte) {
  for (const bool in_table : {false, true}) {
    MadeArena made(in_table);
    made.usual();
    const events::AllocatorHeap heap = made.read_with(Mimalloc());
    EXPECT_EQ(heap.used_bytes, 60 * 640 + 100'000) << in_table;
    EXPECT_EQ(heap.pinned_bytes, kSlice - 60 * 640 + 8 * kSlice - 100'000) << in_table;
    EXPECT_EQ(heap.top_bytes, kSlice) << in_table;
  }
}

TEST(MimallocArena, MustAgreeWithItself) {
  for (const bool in_table : {false, true}) {
    MadeArena empty(in_table), own_is_free(in_table), of_another(in_table);
    empty.set_free(~uint64_t{0} << 2);
    EXPECT_FALSE(empty.finds(Mimalloc())) << "without a page it may be anything";
    own_is_free.usual();
    EXPECT_TRUE(own_is_free.finds(Mimalloc()));
    own_is_free.set_free(~uint64_t{0} << 12 | 1);
    EXPECT_FALSE(own_is_free.finds(Mimalloc()));
    of_another.page(3, 62, 5, 1, 100'000);  // it would end beyond the arena
    EXPECT_FALSE(of_another.finds(Mimalloc()));
  }
}

TEST(Musl, IsReadToTheByte) {
  for (const uint64_t offset : {56, 64}) {
    MadeMusl made(offset);
    made.usual();
    const events::AllocatorHeap heap = made.read_with(Musl());
    EXPECT_EQ(heap.used_bytes, 16 + 6 * 160 + 25 * kPageBytes);
    EXPECT_EQ(heap.trimmable_bytes, 0u);
  }
}

TEST(Musl, AGroupInASlotOfAnotherCountsOnce) {
  MadeMusl made;
  made.touch(kGroups, 0x8000);
  made.meta(kGroups, 2, 0b100, 0, 31, 0);  // 3 slots of 8,176 bytes, one free
  made.meta(kGroups + 16, 9, 0b11'1111'1110, 0, 9,
            0);  // in the first of them: one of 160 bytes in use, 9 free
  const events::AllocatorHeap heap = made.read_with(Musl());
  EXPECT_EQ(heap.used_bytes, 16 + 2 * 8176 - 9 * 160);
}

TEST(Musl, AGroupThatIsLargerThanItsMemoryIsNone) {
  MadeMusl made;
  made.usual();
  made.meta(kGroups + 0x40000, 0, 0, 0, 63, 1 << 20);  // 4 GiB, and its mapping has 16 MiB
  EXPECT_EQ(made.read_with(Musl()).system_bytes, (1 + 1 + 25) * kPageBytes);
}

TEST(Musl, AListThatTheBudgetEndsIsToldSo) {
  MadeMusl made;
  made.usual();
  made.memory.put_word(kArea + 8, kArea);  // behind it comes the same again
  Musl musl;
  {
    remote::Budget budget({.steps = 1000});
    remote::MeteredMemory metered(made.memory, budget);
    HeapMemory memory(metered, [&made] { return made.vmas; }, {});
    ASSERT_TRUE(memory.refresh());
    ASSERT_TRUE(musl.find(memory));
  }
  remote::Budget budget({.steps = 1000});
  remote::MeteredMemory metered(made.memory, budget);
  HeapMemory memory(metered, [&made] { return made.vmas; }, {});
  ASSERT_TRUE(memory.refresh());
  const Result<BlockTables> tables = musl.read(memory);
  ASSERT_TRUE(tables.ok());
  EXPECT_EQ(tables->problem, "there are more groups than one reading may keep");
}

TEST(Musl, AnotherSecretIsNone) {
  MadeMusl made;
  made.usual();
  made.memory.put_word(kArea, kSecret + 1);
  EXPECT_FALSE(made.finds(Musl()));
}

// Whatever stands there: it ends, and what is told is not more than what is resident.
template <typename Reader, typename Made>
void damaged(uint64_t tables, uint64_t bytes) {
  std::mt19937_64 random(13);
  for (int run = 0; run < 300; ++run) {
    Made made;
    made.usual();
    for (int damage = 0; damage < 3; ++damage)
      made.memory.put_word(tables + random() % bytes / 8 * 8, random() % 2 == 0 ? random() : random() % 1024);
    const events::AllocatorHeap heap = made.read_with(Reader());
    EXPECT_LE(heap.used_bytes + heap.pinned_bytes + heap.top_bytes, made.resident_bytes());
  }
}

TEST(Mimalloc, DamagedSegmentsEnd) { damaged<Mimalloc, MadeMimalloc>(kSlices - 40, 40 + 11 * 80); }
TEST(MimallocArena, DamagedArenasEnd) {
  damaged<Mimalloc, MadeArena>(MadeArena::kArena, 18 * 8);
  damaged<Mimalloc, MadeArena>(MadeArena::kArena + 2 * kSlice, 15 * 8);
}
TEST(Musl, DamagedAreasEnd) { damaged<Musl, MadeMusl>(kArea, 24 + 2 * 40); }

}  // namespace
}  // namespace memwhy::allocators
