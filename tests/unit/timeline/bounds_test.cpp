// SPDX-License-Identifier: Apache-2.0
// What a recording may claim, and what it costs: runs of pages are ranges, mappings made alike are one, and a space that has
// left is not made again by what is said of it too late.
#include <gtest/gtest.h>

#include "timeline/map_sites.h"
#include "timeline/page_table.h"
#include "timeline/timeline.h"

namespace memwhy::testing {
namespace {

using timeline::How;
using timeline::MapSite;
using timeline::MapSites;
using timeline::PageTable;
using timeline::PageWord;
using timeline::Timeline;

MapSite site_at(uint64_t page, uint64_t pages, uint32_t stack, TimeNs time) {
  return {{page << kPageShift, (page + pages) << kPageShift},
          StackId{stack},
          time,
          3,
          0x22,
          MapSite::What::kMmap};
}

TEST(MapSites, OfALeakByOneStackAreAsManyAsItsMoments) {
  MapSites sites;
  constexpr uint64_t kMaps = 50'000, kTop = 0x7f0000000;
  constexpr TimeNs kEach = 200'000;  // 5,000 a second, each below the one before
  for (uint64_t i = 0; i < kMaps; ++i) sites.add(site_at(kTop - i, 1, 7, 1'000'000'000 + i * kEach));
  EXPECT_LE(sites.size(), 10'000'000'000 / (TimeNs{1} << 27) + 2);  // 10 s, in moments of 2^27 ns
  ASSERT_NE(sites.find((kTop - 12'345) << kPageShift), nullptr);
  EXPECT_EQ(sites.find((kTop + 1) << kPageShift), nullptr);
  // A list of mappings that is newer settles them: then they are one.
  std::vector<events::Vma> list(1);
  list[0].range = {(kTop - kMaps + 1) << kPageShift, (kTop + 1) << kPageShift};
  sites.clip(list, 12'000'000'000);
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites.all()[0].range, list[0].range);
}

TEST(MapSites, ThatDifferAreNotJoined) {
  MapSites sites;
  sites.add(site_at(100, 1, 7, 1'000));
  sites.add(site_at(101, 1, 8, 1'000));
  sites.add(site_at(103, 1, 8, 1'000));
  MapSite populated = site_at(104, 1, 8, 1'000);
  populated.flags |= 0x8000;
  sites.add(populated);
  EXPECT_EQ(sites.size(), 4u);
}

TEST(MapSites, OfACopyAreItsOwn) {
  MapSites parent;
  parent.add(site_at(100, 8, 7, 1'000));
  MapSites child = parent;
  child.cut({102 << kPageShift, 104 << kPageShift}, 2'000);
  EXPECT_EQ(parent.size(), 1u);
  EXPECT_EQ(child.size(), 2u);
  EXPECT_NE(parent.find(102 << kPageShift), nullptr);
  EXPECT_EQ(child.find(102 << kPageShift), nullptr);
}

TEST(PageEditor, VisitsChunksOfALongRunNotItsPages) {
  PageTable table;
  const PageWord word(How::kFault, 3, 100, 0);
  uint64_t calls = 0, pages = 0;
  const auto put = [&](PageRange part, PageWord& now) {
    ++calls;
    pages += part.pages();
    now = word;
  };
  {
    timeline::PageEditor editor(table);
    editor.each({1000, 1000 + (PageNumber{1} << 32)}, false, put);
  }
  // What there is room for, by the chunk (and the first, which is a part of one).
  EXPECT_EQ(calls, PageTable::kMaxChunks);
  EXPECT_LE(pages, PageTable::kMaxChunks * kChunkPages);
  timeline::ChunkWords words;
  ASSERT_TRUE(table.load(1, words));
  EXPECT_TRUE(words[1000 % kChunkPages - 1].empty());
  EXPECT_EQ(words[1000 % kChunkPages], word);
  calls = 0;
  {
    timeline::PageEditor editor(table);
    editor.each({0, PageNumber{1} << 50}, true, [&](PageRange, PageWord& now) {
      ++calls;
      now = PageWord();
    });
  }
  EXPECT_LE(calls, PageTable::kMaxChunks + 2);
  EXPECT_TRUE(table.empty());
}

TEST(Timeline, ASpaceThatHasLeftIsNotMadeAgainByWhatIsSaidOfItTooLate) {
  Timeline timeline;
  constexpr uint32_t kChildren = 3000;
  TimeNs now = 1'000'000'000;
  for (uint32_t id = 1; id <= kChildren; ++id) {
    events::SpaceStart start;
    start.space = SpaceId{id};
    start.tgid = static_cast<Pid>(id);
    start.how = events::StartHow::kForked;
    timeline.on_event({now += 1'000'000, start});
    events::SpaceEnd end;
    end.space = SpaceId{id};
    timeline.on_event({now += 1'000'000, end});
  }
  timeline.on_event({now += 5'000'000'000, events::ClockAnchor{}});
  ASSERT_EQ(timeline.space(SpaceId{1}), nullptr);
  const size_t before = timeline.spaces().size();
  for (uint32_t id = 1; id <= 100; ++id) {
    events::ProcessExit exit;
    exit.space = SpaceId{id};
    timeline.on_event({now, exit});
    events::VmaUnmapped unmapped;
    unmapped.space = SpaceId{id};
    timeline.on_event({now, unmapped});
  }
  EXPECT_EQ(timeline.space(SpaceId{1}), nullptr);
  EXPECT_EQ(timeline.spaces().size(), before);
}

}  // namespace
}  // namespace memwhy::testing
