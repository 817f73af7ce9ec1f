// SPDX-License-Identifier: Apache-2.0
// What a file may claim with few bytes: ranges, mappings and processes without end. Asserted are counts of what is kept and
// looked at, not times.
#include <gtest/gtest.h>

#include "timeline/address_space_state.h"
#include "timeline/map_sites.h"
#include "timeline/timeline.h"

namespace memwhy::timeline {
namespace {

using events::TableRun;

constexpr uint32_t kMostPages = UINT32_MAX;

TEST(HostileRanges, AreLookedAtAsRunsOfEqualWords) {
  StackDictionary stacks;
  PageModel model(stacks);
  for (uint32_t i = 0; i < 4; ++i) {
    events::PageTableRuns table;
    table.space = SpaceId{1};
    table.as_of_tick = 300 + i;
    table.runs = {TableRun{1, kMostPages, StackId{1 + i % 2}, 260 + i, 0}};
    model.apply(table);
  }
  model.settle();
  // The first and the last chunk are covered in part; what there is no room for is not looked at again.
  EXPECT_LE(model.steps(), 4 * (PageTable::kMaxChunks + 4));
  EXPECT_LE(model.memory_bytes(), PageTable::kMaxChunks * 128);
  const uint64_t before = model.steps();
  model.remove({0, PageNumber{1} << 44}, 400);
  model.settle();
  EXPECT_LE(model.steps() - before, PageTable::kMaxChunks + 4);
  EXPECT_TRUE(model.table().empty());
}

TEST(HostileRanges, BeyondEveryAddressAreCutOff) {
  StackDictionary stacks;
  PageModel model(stacks);
  events::PageTableRuns table;
  table.space = SpaceId{1};
  table.runs = {TableRun{kPageLimit + 5, 7, StackId{1}, 260, 0}};
  model.apply(table);
  model.settle();
  EXPECT_EQ(model.steps(), 0u);
  EXPECT_TRUE(model.table().empty());
}

// A leak of single pages, each below the one before, as the kernel places them.
TEST(MapSitesOfALeak, AreOneAfterEachListOfMappings) {
  MapSites sites;
  constexpr uint64_t kTop = uint64_t{1} << 40, kCount = 100'000;
  TimeNs now = 1'000'000'000;
  for (uint64_t i = 1; i <= kCount; ++i) {
    const uint64_t start = kTop - i * kPageBytes;
    sites.add({{start, start + kPageBytes},
               StackId{1 + (i > kCount / 2 ? 1u : 0u)},
               now,
               3,
               0x22,
               MapSite::What::kMmap});
  }
  ASSERT_EQ(sites.size(), kCount);
  std::vector<events::Vma> vmas(1);
  vmas[0].range = {kTop - kCount * kPageBytes, kTop};
  sites.clip(vmas, now - 1);  // the list may be older than they are
  EXPECT_EQ(sites.size(), kCount);
  sites.clip(vmas, now);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites.all()[1].range.bytes(), kCount / 2 * kPageBytes);
  EXPECT_EQ(sites.find(kTop - 1)->stack, StackId{1});
  EXPECT_EQ(sites.find(kTop - kCount * kPageBytes)->stack, StackId{2});
  EXPECT_EQ(sites.find(kTop), nullptr);
}

TEST(MapSitesOfAFork, AreSharedUntilOneOfThemWrites) {
  MapSites parent;
  for (uint64_t i = 0; i < 1000; ++i)
    parent.add(
        {{i * 2 * kPageBytes, (i * 2 + 1) * kPageBytes}, StackId{1}, 1, 3, 0x22, MapSite::What::kMmap});
  const size_t alone = parent.memory_bytes();
  parent.add({{0, kPageBytes}, StackId{2}, 2, 3, 0x22, MapSite::What::kMmap});  // the first departs
  MapSites child = parent.forked();
  EXPECT_EQ(child.departed(0).size(), 0u);
  EXPECT_LT(child.memory_bytes() + parent.memory_bytes(), alone + alone / 2);
  child.cut({0, 10 * kPageBytes}, 2);
  EXPECT_EQ(parent.size(), 1000u);
  EXPECT_EQ(child.size(), 995u);
}

// Children that end faster than anybody reads them, and of whom something is still said when they were forgotten.
TEST(ForgottenSpaces, AreNotMadeAnewByWhatIsSaidOfThem) {
  Timeline timeline;
  constexpr uint32_t kChildren = 5000;
  TimeNs now = 1'000'000'000;
  timeline.on_event(
      {now, events::SpaceStart{SpaceId{1}, 10, events::StartHow::kAttached, {}, "p", "", {}, 0, "", ""}});
  for (uint32_t i = 2; i < kChildren + 2; ++i) {
    now += 10'000'000;
    timeline.on_event(
        {now,
         events::SpaceStart{
             SpaceId{i}, static_cast<Pid>(i), events::StartHow::kForked, SpaceId{1}, "", "", {}, 0, "", ""}});
    timeline.on_event({now, events::SpaceEnd{SpaceId{i}, events::EndWhy::kExited}});
  }
  const size_t kept = timeline.spaces_kept();
  EXPECT_EQ(kept + timeline.recording().spaces_forgotten, kChildren + 1);
  ASSERT_EQ(timeline.space(SpaceId{2}), nullptr);
  now += 10'000'000;
  timeline.on_event({now, events::ProcessExit{SpaceId{2}, 2, 0, 0}});
  timeline.on_event({now, events::SpaceEnd{SpaceId{3}, events::EndWhy::kExited}});
  events::Counters counters;
  counters.space = SpaceId{4};
  timeline.on_event({now, counters});
  EXPECT_EQ(timeline.spaces_kept(), kept);
  EXPECT_EQ(timeline.space(SpaceId{2}), nullptr);
}

}  // namespace
}  // namespace memwhy::timeline
