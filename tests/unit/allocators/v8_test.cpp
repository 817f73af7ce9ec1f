// SPDX-License-Identifier: Apache-2.0
// V8's pages in made-up memory: those of each layout, what looks like one, and noise.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "unit/allocators/made_v8.h"

namespace memwhy::allocators {
namespace {

using namespace test::v8;

TEST(V8, PagesOfEachLayoutAreReadToTheByte) {
  const std::vector<std::pair<decltype(&MadeV8::classic), uint64_t>> layouts = {
      {&MadeV8::classic, 0x1148}, {&MadeV8::with_record, 0x1140}, {&MadeV8::recorded, 16}};
  for (const auto& [page, header] : layouts) {
    MadeV8 made;
    (made.*page)(0, kPage, kOld, 1000);
    (made.*page)(1, kPage, kYoung, 0);
    (made.*page)(2, 3 * kPage, kOld, 3 * kPage - 0x2000);
    const BlockReading reading = made.reading();
    ASSERT_TRUE(reading.heap.has_value());
    EXPECT_EQ(reading.heap->arenas, 1u);
    EXPECT_EQ(reading.heap->used_bytes, 1000 + 3 * kPage - 0x2000 + 2 * header);
    EXPECT_EQ(reading.heap->pinned_bytes, 4 * kPage - reading.heap->used_bytes);
    EXPECT_EQ(made.bytes_of(reading, "young"), kPage);
    EXPECT_EQ(reading.heap->problem, "");
  }
}

TEST(V8, PagesThatCanBeExecutedAreCode) {
  MadeV8 made;
  made.classic(0, kPage, kOld, 1000);
  made.recorded(1, kPage, kOld, 1000);
  for (events::Vma& vma : made.vmas)
    if (vma.range.start == MadeV8::place(1)) vma.exec = true;
  const BlockReading reading = made.reading();
  EXPECT_EQ(made.bytes_of(reading, "code"), kPage);
  EXPECT_EQ(made.bytes_of(reading, "objects"), kPage);
}

TEST(V8, AHeaderThatDoesNotProveItselfIsNone) {
  // Each word that must agree with where the page lies, or with the others.
  for (const size_t word : {0, 2, 3, 4, 5, 10, 11}) {
    MadeV8 made;
    made.classic(0, kPage, kOld, 1000);
    made.memory.put_word(MadeV8::place(0) + 8 * word, word == 5 ? 2 * kPage : 0);
    EXPECT_FALSE(made.reading().heap.has_value()) << word;
  }
  for (const size_t word : {1, 2, 3, 4, 5, 6, 11, 12}) {
    MadeV8 made;
    made.with_record(0, kPage, kOld, 1000);
    made.memory.put_word(MadeV8::place(0) + 8 * word, word == 6 ? 2 * kPage : 0);
    EXPECT_FALSE(made.reading().heap.has_value()) << word;
  }
  for (const size_t word : {1, 2, 3, 6, 7, 8, 9}) {
    MadeV8 made;
    made.recorded(0, kPage, kOld, 1000);
    made.memory.put_word(kHeap + 0x1000 + 8 * word, word == 3 ? 2 * kPage : 0);
    EXPECT_FALSE(made.reading().heap.has_value()) << word;
  }
}

TEST(V8, APageThatIsNotAllMappedIsNone) {
  for (const auto page : {&MadeV8::classic, &MadeV8::recorded}) {
    MadeV8 made;
    (made.*page)(0, 3 * kPage, kOld, 1000);
    const auto place = std::find_if(made.vmas.begin(), made.vmas.end(),
                                    [](const auto& vma) { return vma.range.start == MadeV8::place(0); });
    place->range.end -= kPageBytes;
    EXPECT_FALSE(made.reading().heap.has_value());
    // The rest of it may be a mapping of its own, which cannot be read.
    events::Vma guard = *place;
    guard.range = {place->range.end, place->range.end + kPageBytes};
    guard.read = guard.write = false;
    made.vmas.insert(place + 1, guard);
    EXPECT_TRUE(made.reading().heap.has_value());
  }
}

TEST(V8, NoiseIsNoHeap) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    MadeV8 made;
    made.classic(0, kPage, kOld, 1000);
    made.recorded(1, kPage, kYoung, 1000);
    for (int i = 0; i < 12; ++i) {
      made.memory.put_word(MadeV8::place(0) + 8 * (random() % 12), random());
      made.memory.put_word(kHeap + 0x1100 + 8 * (random() % 12), random() % 2 == 0 ? random() : 0);
    }
    const BlockReading reading = made.reading();
    if (reading.heap) {
      EXPECT_LE(reading.heap->used_bytes + reading.heap->pinned_bytes, made.resident_bytes());
    }
  }
}

}  // namespace
}  // namespace memwhy::allocators
