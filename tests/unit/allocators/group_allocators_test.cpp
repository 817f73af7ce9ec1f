// SPDX-License-Identifier: Apache-2.0
// mimalloc's segments and musl's groups in made-up memory: found, read to the byte, and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "allocators/mimalloc.h"
#include "allocators/musl.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators {
namespace {

using test::MadeProcess;

constexpr uint64_t kSegment = 0x7f12'4000'0000, kSlice = 64 << 10, kSlices = kSegment + 0x108;

struct MadeMimalloc : MadeProcess {
  MadeMimalloc() {
    map({kSegment, kSegment + Mimalloc::kSegmentBytes}, "");
    memory.put_words(kSlices - 40, {512, 1, 0, 512, 0x7fd8'58b4'e740});
    slice(0, 1, 0, 0, 0);
  }
  void slice(uint64_t at, uint32_t count, uint16_t capacity, uint32_t used, uint32_t block) {
    memory.put_words(kSlices + 80 * at, {count, uint64_t{capacity} << 16, 0, uint64_t{block} << 32 | used});
    for (uint64_t page = 0; page < 16; ++page)
      memory.put_word(kSegment + at * kSlice + page * kPageBytes + 4088, 0);
  }
  void usual() {
    slice(1, 1, 100, 97, 640);
    slice(2, 8, 4, 1, 100'000);
    slice(10, 502, 0, 0, 0);
  }
};

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
  EXPECT_EQ(tables->problem, "there are more segments than one reading may read");
}

TEST(Mimalloc, SlicesThatDoNotFollowAreNoSegment) {
  MadeMimalloc made;
  made.usual();
  made.slice(10, 503, 0, 0, 0);
  EXPECT_FALSE(made.finds(Mimalloc()));
}

constexpr uint64_t kData = 0x7f00'0000'0000, kSecret = 0x5e12'3456'789a'bcc1, kArea = 0x5555'0000'0000;
constexpr uint64_t kGroups = 0x7f10'0000'0000;

struct MadeMusl : MadeProcess {
  explicit MadeMusl(uint64_t offset = 56) {
    map({kData, kData + 0x4000}, "/lib/ld-musl-x86_64.so.1", 5);
    map({kArea, kArea + 0x2000}, "");
    map({kGroups, kGroups + 0x100'0000}, "");
    memory.put_word(kData + 0x1230, kSecret);
    memory.put_word(kData + 0x1230 + offset, kArea);
    memory.put_words(kArea, {kSecret, 0, 0});
  }
  uint64_t meta(uint64_t group, uint64_t last, uint32_t available, uint32_t freed, uint64_t size_class,
                uint64_t pages) {
    const uint64_t at = kArea + 24 + 40 * metas++;
    memory.put_word(kArea + 16, metas);
    memory.put_words(
        at, {0, 0, group, uint64_t{freed} << 32 | available, last | 1 << 5 | size_class << 6 | pages << 12});
    memory.put_word(group, at);
    return at;
  }
  void touch(uint64_t address, uint64_t bytes) {
    for (uint64_t at = address + 8; at < address + bytes; at += kPageBytes) memory.put_word(at, 0);
  }
  void usual() {
    touch(kGroups, 0x2000);
    meta(kGroups, 9, 0b111, 0b1000, 9, 0);  // 10 slots of 160 bytes, 4 of them free
    touch(kGroups + 0x10000, 25 * kPageBytes);
    meta(kGroups + 0x10000, 0, 0, 0, 63, 25);
  }
  size_t metas = 0;
};

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
TEST(Musl, DamagedAreasEnd) { damaged<Musl, MadeMusl>(kArea, 24 + 2 * 40); }

}  // namespace
}  // namespace memwhy::allocators
