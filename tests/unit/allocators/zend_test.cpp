// SPDX-License-Identifier: Apache-2.0
// PHP's heap in made-up memory: chunks, slots, large runs, huge blocks, chunks kept for later; what looks like one, and noise.
#include "allocators/zend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMain = 0x7f00'0020'0000, kSecond = kMain + Zend::kChunk, kHuge = 0x7f00'4000'0000;
constexpr uint64_t kHeapAt = kMain + 64;
constexpr size_t kMapAt = 0x220;  // of a chunk

// Chunk by chunk: slots of 16 bytes on page 1, slots of 320 bytes on pages 2 to 6, a run of 10 pages, the rest free.
struct MadePhp : test::MadeProcess {
  explicit MadePhp(size_t first = 4) : first_slot(first) {
    chunk(kMain, kSecond);
    chunk(kSecond, kMain);
    map({kHuge, kHuge + Zend::kChunk}, "");
    for (uint64_t at = kHuge; at < kHuge + Zend::kChunk; at += kPageBytes) memory.put_word(at, 1);
    for (uint64_t word = 0; word < 52; ++word) memory.put_word(kHeapAt + 8 * word, 0);
    memory.put_words(kHeapAt + 8 * 2, {100, 100});
    if (first_slot == 5) memory.put_word(kHeapAt + 8 * 4, 0x1234'5678'9abc'def1);
    memory.put_word(kHeapAt + 8 * (first_slot + 36), kMain + kPageBytes + 0x800);
    memory.put_words(kMain + kPageBytes + 0x800, {kHuge, Zend::kChunk, 0});
    memory.put_word(kHeapAt + 8 * (first_slot + 37), kMain);
    memory.put_word(slot_list(1), kMain + kPageBytes + 16);
    memory.put_word(kMain + kPageBytes + 16, kSecond + kPageBytes + 32);
    memory.put_word(kSecond + kPageBytes + 32, 0);
    memory.put_word(slot_list(16), kMain + 3 * kPageBytes + 64);
    memory.put_word(kMain + 3 * kPageBytes + 64, 0);
  }
  uint64_t slot_list(size_t size) const { return kHeapAt + 8 * (first_slot + size); }
  void chunk(uint64_t at, uint64_t next) {
    map({at, at + Zend::kChunk}, "");
    for (uint64_t page = at; page < at + Zend::kChunk; page += kPageBytes) memory.put_word(page, 0);
    memory.put_words(at, {kHeapAt, next, next, 512 - 17});
    for (size_t word = 0; word < 8; ++word)
      memory.put_word(at + kMapAt - 64 + 8 * word, word == 0 ? (1 << 17) - 1 : 0);
    for (size_t word = 0; word < 256; ++word) memory.put_word(at + kMapAt + 8 * word, 0);
    const auto pair = [&](size_t page, uint64_t first, uint64_t second) {
      memory.put_word(at + kMapAt + 4 * page, second << 32 | first);
    };
    pair(0, 0x4000'0001, 0x8000'0001);
    pair(2, 0x8000'0010, 0xc001'0010);
    pair(4, 0xc002'0010, 0xc003'0010);
    pair(6, 0xc004'0010, 0x4000'000a);
  }
  size_t first_slot;
};

TEST(Zend, ChunksSlotsAndHugeBlocksAreReadToTheByte) {
  for (const size_t first_slot : {4, 5}) {  // PHP 7.0 to 8.3, and from 8.4 on
    MadePhp made(first_slot);
    const events::AllocatorHeap heap = made.read_with(Zend{});
    EXPECT_EQ(heap.problem, "");
    EXPECT_EQ(heap.arenas, 1u);
    const uint64_t slots = 2 * 16 + 320;  // that are free
    EXPECT_EQ(heap.used_bytes, 2 * (1 + 5 + 10) * kPageBytes + Zend::kChunk - slots);
    EXPECT_EQ(made.resident_bytes() - heap.used_bytes,
              2 * (1 + 495) * kPageBytes + slots);  // with the headers
  }
}

TEST(Zend, WhatItsPartsDoNotAgreeOnIsNone) {
  // The heap's place, the count of free pages, the bitmap, the word of the first page.
  for (const uint64_t place : {kMain, kMain + 24, kMain + kMapAt - 64, kMain + kMapAt}) {
    MadePhp made;
    for (const uint64_t chunk : {uint64_t{0}, Zend::kChunk}) made.memory.put_word(place + chunk, 8);
    EXPECT_FALSE(made.finds(Zend{})) << std::hex << place;
  }
}

TEST(Zend, ListsInMotionAreTold) {
  MadePhp leaves;
  leaves.memory.put_word(kMain + kPageBytes + 16, kHuge);
  EXPECT_THAT(leaves.read_with(Zend{}).problem, HasSubstr("in motion"));
  MadePhp loops;
  loops.memory.put_word(kSecond + kPageBytes + 32, kMain + kPageBytes + 16);
  EXPECT_THAT(loops.read_with(Zend{}).problem, HasSubstr("in motion"));
  MadePhp huge;
  huge.memory.put_words(kMain + kPageBytes + 0x800, {kHuge, ~uint64_t{0}, 0});
  EXPECT_THAT(huge.read_with(Zend{}).problem, HasSubstr("in motion"));
}

class ZendDamage : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ZendDamage, EndsAndStaysWithinWhatIsResident) {
  std::mt19937_64 random(GetParam());
  MadePhp made;
  const std::vector<PageNumber> pages = made.memory.pages();
  const uint64_t values[] = {0, ~uint64_t{0}, kMain, kHeapAt, kHuge, kMain + kPageBytes + 16};
  for (int i = 0; i < 40; ++i) {
    const uint64_t at =
        random() % 2 != 0 ? kMain + 8 * (random() % 512) : pages[random() % pages.size()] * kPageBytes;
    made.memory.put_word(at, random() % 3 != 0 ? values[random() % std::size(values)] : random());
  }
  const events::AllocatorHeap heap = made.read_with(Zend{});
  EXPECT_LE(heap.used_bytes, made.resident_bytes());
}
INSTANTIATE_TEST_SUITE_P(Seeds, ZendDamage, ::testing::Range(uint64_t{0}, uint64_t{50}));

}  // namespace
}  // namespace memwhy::allocators
