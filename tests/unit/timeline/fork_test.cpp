// SPDX-License-Identifier: Apache-2.0
// Forks: what parent and child share, when they stop sharing it, and what waits until somebody looks. Asserted are counts of
// chunk records, not times.
#include <gtest/gtest.h>

#include <random>

#include "timeline/page_model.h"

namespace memwhy::timeline {
namespace {

using events::TableRun;

constexpr uint64_t kChunks = 1024;  // 2 GiB

events::PageTableRuns entries(std::vector<TableRun> runs, uint64_t as_of, bool restated = false) {
  return {SpaceId{1}, restated, as_of, std::move(runs)};
}

// 2 GiB of which every chunk has pages of two stacks.
void fill(PageModel& model) {
  std::vector<TableRun> runs;
  for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
    runs.push_back({chunk * kChunkPages, 100, StackId{1}, 100, events::kFaultWrite});
    runs.push_back({chunk * kChunkPages + 100, 412, StackId{2}, 101, events::kFaultWrite});
  }
  model.apply(entries(std::move(runs), 150));
  model.settle();
}

PageWord word_at(const PageModel& model, PageNumber page) {
  ChunkWords words;
  model.table().load(page / kChunkPages, words);
  return words[page % kChunkPages];
}

TEST(ForkedTable, SharesEachChunkUntilOneOfTheTwoWritesIt) {
  StackDictionary stacks;
  PageModel parent(stacks), child(stacks);
  fill(parent);
  ASSERT_EQ(parent.table().own_chunks(), kChunks);
  child.fork_from(parent, 200, 1000);
  EXPECT_EQ(child.table().chunks(), kChunks);
  EXPECT_EQ(parent.table().own_chunks() + child.table().own_chunks(), 0u);

  child.apply(entries({{5, 1, StackId{3}, 210, events::kFaultWrite}}, 250));
  child.settle();
  EXPECT_EQ(child.table().own_chunks(), 1u);
  EXPECT_EQ(word_at(child, 5).how(), How::kFault);
  EXPECT_EQ(word_at(parent, 5).stack(), stacks.index(StackId{1}));
  EXPECT_EQ(word_at(child, 6).how(), How::kInherited);
  EXPECT_EQ(word_at(parent, 6).how(), How::kFault);

  const PageNumber far = 700 * kChunkPages;
  parent.remove({far, far + 10}, 300);
  parent.settle();
  EXPECT_TRUE(word_at(parent, far).empty());
  EXPECT_EQ(word_at(child, far), word_at(child, far + 50));
  EXPECT_EQ(word_at(child, far).how(), How::kInherited);
}

TEST(ForkedTable, OfFiveHundredChildrenTakesWhatEachOfThemWrites) {
  StackDictionary stacks;
  PageModel parent(stacks);
  fill(parent);
  const size_t alone = parent.memory_bytes();
  constexpr size_t kChildren = 500;
  std::vector<std::unique_ptr<PageModel>> children;
  size_t own = 0, bytes = 0;
  for (uint64_t i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<PageModel>(stacks));
    children.back()->fork_from(parent, 200 + i, 1000);
    children.back()->apply(entries({{i * kChunkPages, 3, StackId{4}, 300 + i, events::kFaultWrite}}, 900));
    children.back()->settle();
  }
  for (const auto& child : children) {
    EXPECT_EQ(child->table().chunks(), kChunks);
    own += child->table().own_chunks();
    bytes += child->memory_bytes();
  }
  EXPECT_EQ(own, kChildren);
  EXPECT_LT(bytes, kChildren * 16 * 1024);
  EXPECT_GT(alone, kChunks * 64);
  children.clear();
  EXPECT_EQ(parent.table().own_chunks(), kChunks);
  EXPECT_EQ(parent.memory_bytes(), alone);
}

TEST(ForkedTable, OfAChildThatEndsIsTheParentsAgain) {
  StackDictionary stacks;
  PageModel parent(stacks), child(stacks);
  fill(parent);
  child.fork_from(parent, 200, 1000);
  child.drop();
  EXPECT_EQ(parent.table().own_chunks(), kChunks);
  EXPECT_TRUE(child.table().empty());
  EXPECT_EQ(child.table().chunks(), 0u);
}

TEST(WhatIsHeardOfAChild, WaitsUntilItIsLookedAt) {
  StackDictionary stacks;
  PageModel parent(stacks), child(stacks);
  fill(parent);
  child.fork_from(parent, 200, 1000);
  const auto late = std::make_shared<const std::vector<TableRun>>(
      std::vector<TableRun>{{kChunks * kChunkPages, 8, StackId{1}, 199, 0}, {7, 1, StackId{1}, 205, 0}});
  child.inherit(late, 201, 200);
  child.remove({0, 4}, 220);
  EXPECT_EQ(child.steps(), 0u);
  EXPECT_EQ(child.table().own_chunks(), 0u);
  EXPECT_EQ(child.table().chunks(), kChunks);
  child.look_at();
  EXPECT_EQ(child.table().chunks(), kChunks + 1);
  EXPECT_EQ(word_at(child, kChunks * kChunkPages).how(), How::kInherited);
  EXPECT_TRUE(word_at(child, 3).empty());
  EXPECT_EQ(child.table().absolute(word_at(child, 7)), 100u);  // not the parent's fault after the fork
  const uint64_t steps = child.steps();
  child.remove({4, 8}, 230);
  EXPECT_GT(child.steps(), steps);  // nothing waits any more
}

TEST(WhatIsHeardOfAChild, IsBoundedWhileItWaits) {
  StackDictionary stacks;
  PageModel model(stacks);
  for (uint64_t i = 0; i < 20 * PageModel::kMaxWaiting; ++i) model.remove({i, i + 1}, 100 + i);
  EXPECT_LT(model.memory_bytes(), size_t{8} << 20);
  EXPECT_NE(model.removed().newest(), 0u);
}

// The same things heard by one that waits and one that does not end in the same words.
TEST(WhatIsHeardOfAChild, ComesToTheSameWhenItIsTakenInLate) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    StackDictionary stacks;
    PageModel parent(stacks), late(stacks), at_once(stacks);
    parent.apply(entries({{0, 600, StackId{1}, 90, 1}, {1000, 600, StackId{2}, 95, 1}}, 100));
    late.fork_from(parent, 110, 1000);
    at_once.fork_from(parent, 110, 1000);
    at_once.look_at();
    constexpr uint64_t kPages = 4096;
    for (uint64_t tick = 110; tick < 400; ++tick) {
      const uint64_t page = random() % kPages, count = 1 + random() % 300;
      const PageRange range{page, page + count};
      switch (random() % 5) {
        case 0:
          late.remove(range, tick), at_once.remove(range, tick);
          break;
        case 1:
          late.free(range, tick), at_once.free(range, tick);
          break;
        case 2:
          late.move(range, {page + 700, page + 700 + count}, tick),
              at_once.move(range, {page + 700, page + 700 + count}, tick);
          break;
        case 3: {
          const auto heard =
              entries({{page, static_cast<uint32_t>(count), StackId{3 + static_cast<uint32_t>(random() % 3)},
                        tick - random() % 20, 1}},
                      tick, random() % 2 == 0);
          late.apply(heard), at_once.apply(heard);
          break;
        }
        default: {
          const auto runs = std::make_shared<const std::vector<TableRun>>(std::vector<TableRun>{
              {page, static_cast<uint32_t>(count), StackId{9}, 100 + random() % 12, 1}});
          late.inherit(runs, 111, 110), at_once.inherit(runs, 111, 110);
        }
      }
      EXPECT_EQ(late.as_of(), at_once.as_of());
    }
    EXPECT_EQ(late.steps(), 0u);
    late.settle();
    for (PageNumber page = 0; page < 2 * kPages; ++page)
      ASSERT_EQ(word_at(late, page), word_at(at_once, page)) << "seed " << seed << ", page " << page;
    EXPECT_EQ(late.graves().size(), at_once.graves().size());
  }
}

}  // namespace
}  // namespace memwhy::timeline
