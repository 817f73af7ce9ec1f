// SPDX-License-Identifier: Apache-2.0
// Single collections, and single calls that can explain a step: what is kept of many.
#include <gtest/gtest.h>

#include <algorithm>

#include "timeline/go/cycles.h"
#include "timeline/go/moments.h"

namespace memwhy::timeline {
namespace {

using events::GoFunction;

events::GoCall call(GoFunction function, uint64_t bytes = 0) {
  return {SpaceId{1}, 1, function, bytes, StackId{1}, 0};
}

TEST(GoCycles, TheLatestAndTheLongestPausesAreKept) {
  GoCycles cycles;
  for (uint32_t n = 1; n <= 10'000; ++n) cycles.add(events::GoPause{n, n, n % 1000});
  const auto pauses = cycles.pauses();
  ASSERT_EQ(pauses.size(), GoCycles::kLatest + GoCycles::kLongest);
  EXPECT_EQ(std::count_if(pauses.begin(), pauses.end(), [](const auto& p) { return p.pause_ns == 999; }), 10);
  EXPECT_EQ(pauses.back().collection, 10'000u);
  EXPECT_TRUE(std::is_sorted(pauses.begin(), pauses.end(),
                             [](const auto& a, const auto& b) { return a.collection < b.collection; }));
}

TEST(GoCycles, MarkingNeedsItsStart) {
  GoCycles cycles;
  cycles.add(call(GoFunction::kMarkEnd), 5);
  cycles.add(call(GoFunction::kCollectionStart), 10);
  cycles.add(call(GoFunction::kMarkEnd), 17);
  cycles.add(call(GoFunction::kMarkEnd), 30);
  cycles.add(call(GoFunction::kCollectionStart), 40);
  cycles.add(call(GoFunction::kLargeAllocation, 1), 41);
  cycles.add(call(GoFunction::kMarkEnd), 43);
  EXPECT_EQ(cycles.marks_seen(), 2u);
  EXPECT_EQ(cycles.mark_total_ns(), 10u);
  EXPECT_EQ(cycles.mark_longest_ns(), 7u);
  ASSERT_EQ(cycles.marks().size(), 2u);
  EXPECT_EQ(cycles.marks()[0].start, 10u);
  EXPECT_EQ(cycles.marks()[1].end, 43u);
}

TEST(GoMoments, OfTooManyTheLargerAreKept) {
  GoMoments moments;
  moments.add(call(GoFunction::kLargeAllocation, GoMoments::kLeastBytes - 1), 1);
  EXPECT_TRUE(moments.allocations().empty());
  for (TimeNs time = 1; time <= 5000; ++time)
    moments.add(call(GoFunction::kLargeAllocation, (time % 10 == 0 ? 64 : 2) << 20), time);
  const auto& kept = moments.allocations();
  EXPECT_LE(kept.size(), GoMoments::kMost);
  EXPECT_EQ(std::count_if(kept.begin(), kept.end(), [](const auto& m) { return m.bytes == 64 << 20; }), 500);
  EXPECT_TRUE(
      std::is_sorted(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(GoMoments, OfEqualOnesEverySecondGoes) {
  GoMoments moments;
  for (TimeNs time = 1; time <= 100'000; ++time) moments.add(call(GoFunction::kScavenge, ~uint64_t{0}), time);
  EXPECT_LE(moments.scavenges().size(), GoMoments::kMost);
  EXPECT_GT(moments.scavenges().size(), GoMoments::kMost / 2);
  EXPECT_EQ(moments.scavenges().front().time, 1u);
  EXPECT_TRUE(moments.allocations().empty());
}

}  // namespace
}  // namespace memwhy::timeline
