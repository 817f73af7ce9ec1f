// SPDX-License-Identifier: Apache-2.0
#include "timeline/wall_clock.h"

#include <gtest/gtest.h>

#include "base/time.h"

namespace memwhy::timeline {
namespace {

constexpr uint64_t kHour = 3600;

// Seconds: the machine slept for as long as boottime is ahead of monotonic.
events::ClockAnchor anchor(uint64_t monotonic, uint64_t boottime, uint64_t realtime) {
  return {monotonic * kNsPerSecond, boottime * kNsPerSecond, realtime * kNsPerSecond, 0};
}

std::optional<uint64_t> seconds(const WallClock& clock, uint64_t monotonic) {
  const std::optional<uint64_t> ns = clock.realtime_ns(monotonic * kNsPerSecond);
  return ns ? std::optional(*ns / kNsPerSecond) : std::nullopt;
}

TEST(WallClock, KnowsNothingWithoutAnAnchor) {
  EXPECT_FALSE(WallClock());
  EXPECT_EQ(WallClock().realtime_ns(1), std::nullopt);
  EXPECT_EQ(WallClock().last(), std::nullopt);
}

TEST(WallClock, ATimeIsByTheLastAnchorOfItsEra) {
  WallClock clock(anchor(10, 10, 10'010));
  clock.add(anchor(70, 70, 10'070 + kHour));  // set forward
  clock.add(anchor(130, 130, 10'130 + kHour));
  clock.add(anchor(190, 190, 10'190 - kHour));  // set back by two
  EXPECT_EQ(seconds(clock, 5), 10'005U);
  EXPECT_EQ(seconds(clock, 69), 10'069U);
  EXPECT_EQ(seconds(clock, 70), 10'070U + kHour);
  EXPECT_EQ(seconds(clock, 189), 10'189U + kHour);
  EXPECT_EQ(seconds(clock, 500), 10'500U - kHour);
}

TEST(WallClock, AClockThatIsCorrectedSlowlyIsOne) {
  WallClock clock(anchor(10, 10, 10'010));
  events::ClockAnchor later = anchor(70, 70, 10'070);
  later.realtime_ns += kNsPerSecond / 2;
  clock.add(later);
  EXPECT_EQ(clock.realtime_ns(10 * kNsPerSecond), 10'010 * kNsPerSecond + kNsPerSecond / 2);
}

TEST(WallClock, AMachineThatSleptAndATimeSinceBoot) {
  WallClock clock(anchor(10, 10, 10'010));
  clock.add(anchor(20, 20 + kHour, 10'020 + kHour));
  EXPECT_EQ(seconds(clock, 15), 10'015U);
  EXPECT_EQ(seconds(clock, 25), 10'025U + kHour);
  EXPECT_EQ(clock.realtime_ns_of_boottime(5 * kNsPerSecond), 10'005 * kNsPerSecond);
  EXPECT_EQ(clock.realtime_ns_of_boottime((kHour + 21) * kNsPerSecond), (10'021 + kHour) * kNsPerSecond);
}

TEST(WallClock, AFileThatLiesHasAsManyErasAsItIsAllowed) {
  WallClock clock;
  for (uint64_t i = 0; i < 100'000; ++i) clock.add(anchor(i, i, i % 2 == 0 ? 0 : kHour * 10));
  EXPECT_TRUE(clock.realtime_ns(5));
  EXPECT_EQ(clock.last(), std::optional(anchor(99'999, 99'999, kHour * 10)));
}

}  // namespace
}  // namespace memwhy::timeline
