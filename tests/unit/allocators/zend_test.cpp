// SPDX-License-Identifier: Apache-2.0
// PHP's heap in made-up memory: chunks, slots, large runs, huge blocks, chunks kept for later; what looks like one, and noise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "unit/allocators/made_php.h"

namespace memwhy::allocators {
namespace {

using ::testing::HasSubstr;

using namespace test::php;

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
