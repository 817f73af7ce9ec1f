// SPDX-License-Identifier: Apache-2.0
#include "probe/table_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace memwhy::probe {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr uint32_t kChunks = 16, kStacks = 16;

// The kernel side's arrays, and the daemon's view of them.
struct Tables {
  std::vector<mw_chunk> chunks = std::vector<mw_chunk>(kChunks);
  std::vector<mw_u64> keys = std::vector<mw_u64>(kChunks);
  std::vector<uint32_t> ticks = std::vector<uint32_t>(kChunks);
  std::vector<mw_u64> hashes = std::vector<mw_u64>(kStacks);
  std::vector<mw_stack> frames = std::vector<mw_stack>(kStacks);
  StackTable stacks{hashes.data(), frames.data(), kStacks};
  PageTable pages{{chunks.data(), keys.data(), ticks.data(), kChunks}, stacks};
  TableReader reader{pages, 1};
  uint64_t claims = 0;
  int graces = 0;

  // A page of this space was faulted in, with the stack of this slot.
  void fault(uint32_t chunk, uint32_t space, uint64_t number, uint64_t stack) {
    keys[chunk] = uint64_t{space} << 36 | number;
    chunks[chunk].e[7] = stack << MW_ENTRY_STACK_SHIFT | 1000;
    ticks[chunk] = 1000;
    ++claims;
  }
  bool settle() {
    return pages.settle(claims, [this] { ++graces; });
  }
  bool names(uint32_t stack) const {
    std::vector<bool> named(kStacks);
    pages.mark(named);
    return named[stack];
  }
  bool empty(uint32_t chunk) const {
    return keys[chunk] == MW_SLOT_EMPTY && ticks[chunk] == 0 &&
           std::all_of(chunks[chunk].e, chunks[chunk].e + MW_CHUNK_PAGES, [](mw_u64 e) { return e == 0; });
  }
};

TEST(PageTable, OneGracePeriodIsForAllSpacesThatEnded) {
  Tables t;
  for (uint32_t space = 1; space <= 5; ++space) {
    t.fault(2 * space, space, 100, space);
    t.fault(2 * space + 1, space, 101, space);
  }
  for (uint32_t space = 1; space <= 4; ++space) t.pages.end(SpaceId{space});
  EXPECT_EQ(t.pages.ended(), 4u);
  t.pages.settle(t.claims, [&] {
    ++t.graces;
    for (uint32_t chunk = 2; chunk <= 9; ++chunk) EXPECT_EQ(t.keys[chunk], MW_SLOT_TOMB) << chunk;
    for (uint32_t stack = 1; stack <= 5; ++stack) EXPECT_TRUE(t.names(stack)) << "until it is zeroes";
    EXPECT_EQ(t.pages.freed(), 0u);
  });
  EXPECT_EQ(t.graces, 1);
  EXPECT_EQ(t.pages.freed(), 8u);
  for (uint32_t chunk = 2; chunk <= 9; ++chunk) EXPECT_TRUE(t.empty(chunk)) << chunk;
  EXPECT_FALSE(t.names(1));
  EXPECT_TRUE(t.names(5)) << "of the space that lives";
  EXPECT_FALSE(t.settle());
  EXPECT_EQ(t.graces, 1) << "nothing is left to wait for";
}

TEST(PageTable, EndedTwiceIsGivenBackOnce) {
  Tables t;
  t.fault(3, 1, 100, 5);
  t.pages.end(SpaceId{1});
  t.pages.end(SpaceId{1});
  EXPECT_TRUE(t.settle());
  EXPECT_EQ(t.pages.freed(), 1u);
}

TEST(PageTable, AChunkThatIsClaimedWhileItsSpaceEndsIsGivenBackToo) {
  Tables t;
  t.fault(3, 1, 100, 5);
  t.pages.end(SpaceId{1});
  EXPECT_TRUE(t.pages.settle(t.claims, [&] { t.fault(4, 1, 200, 6); }));
  EXPECT_TRUE(t.empty(3));
  EXPECT_EQ(t.keys[4], MW_SLOT_TOMB) << "its program may still write";
  EXPECT_TRUE(t.settle());
  EXPECT_TRUE(t.empty(4));
  EXPECT_EQ(t.graces, 1);
  EXPECT_FALSE(t.settle());
}

TEST(PageTable, SlotsOfSpacesThatEndedAreTakenAgain) {
  Tables t;
  for (uint32_t space = 1; space <= 1000; ++space) {
    const uint32_t slot = space % kChunks;
    ASSERT_TRUE(t.empty(slot));
    t.fault(slot, space, 100, 5);
    events::PageTableRuns out;
    std::vector<events::Stack> fresh;
    t.reader.read(SpaceId{space}, false, 1000, t.claims, out, fresh);
    ASSERT_EQ(out.runs.size(), 1u);
    t.pages.end(SpaceId{space});
    if (t.pages.ended() == kChunks) t.settle();
  }
  t.settle();
  EXPECT_EQ(t.graces, 1000 / kChunks + 1);
  EXPECT_EQ(t.pages.freed(), 1000u);
  EXPECT_THAT(t.keys, Each(MW_SLOT_EMPTY));
}

TEST(TableReader, WhatOnePortReadIsStillNewToAnother) {
  Tables t;
  TableReader other(t.pages, 2);
  t.hashes[5] = 0xbeef;
  t.frames[5] = {1, 0, MW_NO_NODE, 0, {0x401000}};
  t.fault(3, 1, 100, 5);
  for (TableReader* reader : {&t.reader, &other}) {
    events::PageTableRuns out;
    std::vector<events::Stack> fresh;
    reader->read(SpaceId{1}, false, 1000, t.claims, out, fresh);
    ASSERT_EQ(out.runs.size(), 1u);
    EXPECT_EQ(out.runs[0].stack, StackId{1});
    ASSERT_EQ(fresh.size(), 1u) << "and so is its stack";
    EXPECT_EQ(fresh[0].id, StackId{1});
    events::PageTableRuns again;
    reader->read(SpaceId{1}, false, 1000, t.claims, again, fresh);
    EXPECT_TRUE(again.runs.empty());
    EXPECT_EQ(fresh.size(), 1u);
  }
}

TEST(TableReader, AChunkGoesWhenTwoListsOfOnePortLackIt) {
  Tables t;
  TableReader other(t.pages, 2);
  const auto reclaim = [&](TableReader& reader) {
    reader.reclaim(SpaceId{1}, {}, t.claims, [&] { ++t.graces; });
  };
  t.fault(3, 1, 100, 5);
  reclaim(t.reader);
  reclaim(other);
  EXPECT_FALSE(t.empty(3)) << "one list each: the mapping may be younger than both";
  reclaim(other);
  EXPECT_TRUE(t.empty(3));
  EXPECT_EQ(t.graces, 1);
}

TEST(TableReader, CopiesGoWithTheirSpace) {
  Tables t;
  for (uint32_t space = 1; space <= 3; ++space) {
    t.fault(space, space, 100, 5);
    events::PageTableRuns out;
    std::vector<events::Stack> fresh;
    t.reader.read(SpaceId{space}, false, 1000, t.claims, out, fresh);
  }
  EXPECT_EQ(t.reader.copies(), 3u);
  t.reader.forget(SpaceId{2});
  t.reader.forget(SpaceId{2});
  EXPECT_EQ(t.reader.copies(), 2u);
}

}  // namespace
}  // namespace memwhy::probe
