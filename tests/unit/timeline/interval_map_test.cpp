// SPDX-License-Identifier: Apache-2.0
// IntervalMap against a plain array of what each place holds; and how much copies share.
#include "timeline/interval_map.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "base/ids.h"

namespace memwhy::timeline {
namespace {

struct Interval {
  PageRange range;
  uint32_t what;
};
using Map = IntervalMap<Interval>;

constexpr size_t kPlaces = 4096;
using Places = std::array<uint32_t, kPlaces>;

bool same_what(const Interval& a, const Interval& b) { return a.what == b.what; }

// What the map says of each place, found by walking it and by asking for each.
::testing::AssertionResult holds(const Map& map, const Places& places) {
  Places walked{};
  uint64_t last_end = 0;
  size_t count = 0;
  bool ordered = true;
  map.each([&](const Interval& interval) {
    ordered &= interval.range.start >= last_end && interval.range.start < interval.range.end;
    last_end = interval.range.end;
    ++count;
    for (uint64_t at = interval.range.start; at < interval.range.end; ++at) walked.at(at) = interval.what;
  });
  if (!ordered) return ::testing::AssertionFailure() << "intervals overlap or are out of order";
  if (count != map.size()) return ::testing::AssertionFailure() << count << " intervals, size " << map.size();
  for (size_t at = 0; at < kPlaces; ++at) {
    const Interval* found = map.find(at);
    const uint32_t asked = found != nullptr ? found->what : 0;
    if (walked[at] != places[at] || asked != places[at])
      return ::testing::AssertionFailure()
             << "at " << at << " walked " << walked[at] << " asked " << asked << " expected " << places[at];
  }
  return ::testing::AssertionSuccess();
}

TEST(IntervalMap, HoldsWhatWasPutLast) {
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    Map map;
    Places places{};
    const uint32_t longest = seed % 2 == 0 ? 8 : 900;  // many leaves, and operations over several of them
    for (int step = 0; step < 6000; ++step) {
      const uint64_t start = random() % kPlaces;
      const uint64_t end =
          std::min<uint64_t>(kPlaces, start + 1 + random() % (random() % 50 == 0 ? kPlaces : longest));
      const uint32_t what = random() % 3;
      if (what == 0) {
        map.clear(start, end);
      } else if (random() % 2 == 0) {
        map.put({{start, end}, what}, same_what);
      } else {
        map.put({{start, end}, what});
      }
      std::fill(places.begin() + static_cast<ptrdiff_t>(start), places.begin() + static_cast<ptrdiff_t>(end),
                what);
      if (step % 500 == 0) {
        ASSERT_TRUE(holds(map, places)) << "seed " << seed << ", step " << step;
      }
    }
    ASSERT_TRUE(holds(map, places)) << "seed " << seed;
    map.erase_if([](const Interval& interval) { return interval.what == 1; });
    std::replace(places.begin(), places.end(), 1U, 0U);
    ASSERT_TRUE(holds(map, places)) << "seed " << seed;
  }
}

TEST(IntervalMap, GivesWhatOverlapsARange) {
  Map map;
  for (uint64_t at = 0; at < 1000; ++at) map.put({{at * 4, at * 4 + 2}, static_cast<uint32_t>(at)});
  std::vector<uint32_t> seen;
  map.each(401, 412, [&](const Interval& interval) { seen.push_back(interval.what); });
  EXPECT_EQ(seen, (std::vector<uint32_t>{100, 101, 102}));
  EXPECT_EQ(map.find(402), nullptr);
  EXPECT_EQ(map.find(401)->what, 100u);
}

TEST(IntervalMap, OneThatGoesOnMakesTheOneBeforeLonger) {
  Map map;
  for (uint64_t at = 0; at < 1000; ++at) map.put({{at, at + 1}, 7}, same_what);
  EXPECT_EQ(map.size(), 1u);
  map.put({{1000, 1001}, 8}, same_what);
  EXPECT_EQ(map.size(), 2u);
}

TEST(IntervalMap, ACopySharesAllButTheLeavesThatOneOfThemWrites) {
  Map parent;
  for (uint64_t at = 0; at < 2000; ++at) parent.put({{at * 2, at * 2 + 1}, 1});
  const size_t leaves = parent.leaves();
  ASSERT_GT(leaves, 2000 / Map::kLeafItems);
  std::vector<Map> children(100, parent);
  EXPECT_EQ(parent.own_leaves(), 0u);
  for (Map& child : children) child.put({{0, 1}, 2});
  parent.put({{3998, 3999}, 3});
  EXPECT_EQ(parent.own_leaves(), 2u);  // the last one, and the first that every child has left
  EXPECT_EQ(parent.find(0)->what, 1u);
  for (const Map& child : children) {
    EXPECT_EQ(child.own_leaves(), 1u);
    EXPECT_EQ(child.find(0)->what, 2u);
    EXPECT_EQ(child.find(3998)->what, 1u);
  }
  children.clear();
  EXPECT_EQ(parent.own_leaves(), leaves);
}

}  // namespace
}  // namespace memwhy::timeline
