// SPDX-License-Identifier: Apache-2.0
// The shapes of series, each with its twin: what grows until now, and what only looks like it.
#include "explain/growth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace memwhy::explain {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr uint64_t kMiB = uint64_t{1} << 20;

std::vector<TrendPoint> each_10_s(const std::vector<uint64_t>& values) {
  std::vector<TrendPoint> out;
  for (uint64_t value : values) out.push_back({10 * kSecond * out.size(), value});
  return out;
}

// MiB at each second, from 0 to `seconds`.
std::vector<TrendPoint> each_second(int seconds, const std::function<double(double)>& mib) {
  std::vector<TrendPoint> out;
  for (int t = 0; t <= seconds; ++t)
    out.push_back(
        {static_cast<TimeNs>(t) * kSecond, static_cast<uint64_t>(mib(t) * static_cast<double>(kMiB))});
  return out;
}

TEST(Trend, MedianSlopeIsNotMovedByOneOutlier) {
  EXPECT_DOUBLE_EQ(*trend_of(each_10_s({100, 200, 300, 400, 500})).bytes_per_s, 10.0);
  EXPECT_DOUBLE_EQ(*trend_of(each_10_s({100, 200, 300, 90'000, 500})).bytes_per_s, 10.0);
  EXPECT_DOUBLE_EQ(*trend_of(each_10_s({100, 100, 100})).bytes_per_s, 0.0);
  EXPECT_FALSE(trend_of(each_10_s({100})).bytes_per_s);
  EXPECT_FALSE(trend_of(std::vector<TrendPoint>{{0, 500}, {kSecond / 3, 100}}).bytes_per_s) << "noise";
  EXPECT_FALSE(trend_of(std::vector<TrendPoint>{}).bytes_per_s);
}

TEST(Trend, RisesInEachQuarterOfItsTime) {
  const auto trend = [](const std::vector<uint64_t>& values) { return trend_of(each_10_s(values)); };
  EXPECT_TRUE(trend({100, 200, 300, 400}).rising);
  EXPECT_EQ(trend({100, 200, 300, 400}).grown_bytes, 300u);
  EXPECT_EQ(trend({100, 200, 300}).shape, Shape::kUnseen);
  EXPECT_TRUE(trend({100, 120, 110, 200, 190, 250, 300, 290, 350, 400}).rising);  // noise on a climb
  EXPECT_EQ(trend({100, 500, 100, 500, 100, 500, 100, 500}).shape, Shape::kTeeth);
  EXPECT_EQ(trend({100, 500, 100, 500}).grown_bytes, 0u);
  // One step, then noise: go.heap.live of a cache that is full.
  EXPECT_EQ(trend({33671472, 54654536, 54654536, 54655264, 54655376, 54655376, 54655380}).shape,
            Shape::kStopped);
  EXPECT_FALSE(trend({1000, 1800, 1850, 1900, 1930}).rising);  // levels off
  EXPECT_EQ(trend({5000, 5000, 5010, 5000, 4995, 5000}).shape, Shape::kLevel);
  EXPECT_EQ(trend({500, 400, 300, 200, 100}).shape, Shape::kFalling);
}

// A leak, evenly; whether it began with the recording or later.
TEST(Trend, ALeakAndALoadThatEnded) {
  const auto leak = [](double from) {
    return [from](double t) { return 100 + 4 * std::max(0.0, t - from); };
  };
  EXPECT_TRUE(trend_of(each_second(60, leak(0))).lasting());
  EXPECT_EQ(trend_of(each_second(60, leak(0))).grown_bytes, 240 * kMiB);
  EXPECT_TRUE(trend_of(each_second(60, leak(30))).lasting());
  EXPECT_TRUE(trend_of(each_second(60, leak(50))).rising);
  EXPECT_FALSE(trend_of(each_second(60, leak(50))).lasting()) << "it may be a start";
  // The same until some seconds ago.
  for (const double end : {20, 40, 50, 54}) {
    const Trend ended = trend_of(each_second(60, [&](double t) { return 100 + 4 * std::min(t, end); }));
    EXPECT_EQ(ended.shape, Shape::kStopped) << end;
    EXPECT_NEAR(*ended.bytes_per_s, 0, 1) << end;
    EXPECT_NEAR(ended.still_seconds, 60 - end, 0.1 * end) << end;
  }
}

// Readings are dense where RSS moves: 60 of them in the 3 s of a load, then 4 in 10 s that are still.
TEST(Trend, ByTimeAndNotByReadings) {
  std::vector<TrendPoint> load;
  for (uint64_t i = 0; i <= 60; ++i) load.push_back({i * kSecond / 20, 8 * i * kMiB});
  for (uint64_t i = 1; i <= 4; ++i) load.push_back({3 * kSecond + i * 5 * kSecond / 2, 480 * kMiB});
  EXPECT_EQ(trend_of(load).shape, Shape::kStopped);
  EXPECT_NEAR(*trend_of(load).bytes_per_s, 0, 1);
}

// 100 readings of 5 s in which nothing grew, then 11 of 55 s in which it did.
TEST(Trend, TheSlopeIsByTimeToo) {
  std::vector<TrendPoint> points;
  for (uint64_t i = 0; i < 100; ++i) points.push_back({i * kSecond / 20, 100 * kMiB});
  for (uint64_t i = 0; i <= 11; ++i) points.push_back({(i + 1) * 5 * kSecond, (100 + 20 * i) * kMiB});
  EXPECT_TRUE(trend_of(points).lasting());
  EXPECT_NEAR(*trend_of(points).bytes_per_s / kMiB, 4, 0.1);
}

// A step a job is a leak while it is waited for no longer than before; one step is a cache.
TEST(Trend, StepsAreWaitedForAsLongAsBefore) {
  const auto steps = [](int most) {
    return [most](double t) { return 100 + 64 * std::min(std::floor(t / 12), static_cast<double>(most)); };
  };
  EXPECT_TRUE(trend_of(each_second(70, steps(99))).lasting());
  EXPECT_EQ(trend_of(each_second(70, steps(99))).grown_bytes, 320 * kMiB);
  EXPECT_EQ(trend_of(each_second(70, steps(1))).shape, Shape::kStopped);
  EXPECT_EQ(trend_of(each_second(70, steps(2))).shape, Shape::kStopped);
  EXPECT_EQ(trend_of(each_second(120, steps(5))).shape, Shape::kStopped) << "none for 60 s";
}

// A heap that is collected each 9 s, with and without a leak below it.
TEST(Trend, ASawToothIsJudgedByItsFloor) {
  const auto teeth = [](double leak) {
    return [leak](double t) { return 300 + leak * t + 180 * std::fmod(t, 9) / 9; };
  };
  for (int seconds = 40; seconds <= 70; ++seconds) {
    EXPECT_EQ(trend_of(each_second(seconds, teeth(0))).shape, Shape::kTeeth) << seconds;
    EXPECT_TRUE(trend_of(each_second(seconds, teeth(5))).rising) << seconds;
  }
  EXPECT_NEAR(static_cast<double>(trend_of(each_second(63, teeth(5))).grown_bytes) / kMiB, 5 * 63, 5 * 9);
}

// A peak at the start, and a leak since: no tooth once it is higher than the peak; before, nothing is known.
TEST(Trend, ALeakAfterAPeak) {
  const auto after_peak = [](double t) { return t < 10 ? 220 : 40 + 4 * (t - 10); };
  EXPECT_TRUE(trend_of(each_second(70, after_peak)).lasting());
  EXPECT_EQ(trend_of(each_second(70, after_peak)).grown_bytes, 240 * kMiB);
  const Trend below = trend_of(each_second(40, after_peak));
  EXPECT_FALSE(below.rising);
  EXPECT_EQ(below.untested_bytes, 120 * kMiB);
  EXPECT_DOUBLE_EQ(below.untested_seconds, 30);
}

// A warm-up comes nearer to its end ever more slowly.
// A vector of 60 MiB that is copied into a larger one while it leaks, wherever that is seen.
TEST(Trend, AShortPeakOnARise) {
  for (int peak = 1; peak < 21; ++peak) {
    const auto with_peak = [peak](double t) { return 12 + 3.5 * t + (t == peak ? 64 : 0); };
    EXPECT_TRUE(trend_of(each_second(21, with_peak)).rising) << peak;
  }
  const auto two = [](double t) { return 12 + 3.5 * t + (t == 5 ? 32 : t == 16 ? 64 : 0); };
  EXPECT_TRUE(trend_of(each_second(21, two)).rising);
  // Teeth, and then a longer one: it may fall as they did.
  const auto teeth = [](double t) { return t > 20 ? 100 + (t - 20) * 40 : std::fmod(t, 2) == 0 ? 100 : 500; };
  EXPECT_FALSE(trend_of(each_second(36, teeth)).rising);
  const auto level = [](double t) { return t == 12 ? 500 : 100; };
  EXPECT_EQ(trend_of(each_second(30, level)).grown_bytes, 0u);
}

TEST(Trend, AWarmUpLevelsOff) {
  EXPECT_FALSE(trend_of(each_second(60, [](double t) { return 500 * (1 - std::exp(-t / 15)); })).rising);
  EXPECT_TRUE(trend_of(each_second(60, [](double t) { return 500 * (1 - std::exp(-t / 120)); })).rising)
      << "not yet";
}

// ---- owners

Sample sample(uint64_t seconds, std::initializer_list<std::pair<Owner, uint64_t>> mib) {
  Sample out;
  out.time = seconds * kSecond;
  for (const auto& [owner, amount] : mib) {
    of(out.bytes, owner) = amount * kMiB;
    out.rss_bytes += amount * kMiB;
  }
  return out;
}

// 60 buffers that were there before are replaced in turn: each is another owner's then.
TEST(OwnerTrend, WhatReplacesOthersIsMovedAndNotGrown) {
  std::vector<Sample> replaced, leak;
  for (uint64_t t = 0; t <= 60; t += 5) {
    replaced.push_back(sample(t, {{Owner::kAnonBeforeAttach, 480 - 8 * t}, {Owner::kAnonOther, 8 * t}}));
    leak.push_back(sample(t, {{Owner::kAnonBeforeAttach, 480}, {Owner::kAnonOther, 8 * t}}));
  }
  EXPECT_EQ(trend_of(replaced, {Owner::kAnonOther}).shape, Shape::kMoved);
  EXPECT_EQ(trend_of(replaced, {Owner::kAnonOther}).grown_bytes, 0u);
  EXPECT_TRUE(trend_of(leak, {Owner::kAnonOther}).lasting());
  EXPECT_EQ(trend_of(leak, {Owner::kAnonOther}).grown_bytes, 480 * kMiB);
}

// The last scan came 11 s after the one before; RSS says that what it found had come in 2 of them.
TEST(OwnerTrend, MovesWhenRssDoes) {
  const std::vector<Sample> scans = {
      sample(0, {{Owner::kAnonOther, 8}}), sample(10, {{Owner::kAnonOther, 200}}),
      sample(20, {{Owner::kAnonOther, 400}}), sample(31, {{Owner::kAnonOther, 760}})};
  const auto judged = [&](double until) {
    std::vector<RssPart> rss;
    for (const TrendPoint& point : each_second(31, [&](double t) {
           return t <= 20 ? 8 + 19.6 * t : 400 + std::min(360.0, 360 * (t - 20) / (until - 20));
         }))
      rss.push_back({point.time, point.value, point.value});
    return trend_of(with_rss_between(scans, rss), {Owner::kAnonOther});
  };
  EXPECT_TRUE(trend_of(scans, {Owner::kAnonOther}).rising) << "by the scans alone";
  EXPECT_EQ(judged(22).shape, Shape::kStopped);
  EXPECT_NEAR(judged(22).still_seconds, 9, 0.5);
  EXPECT_TRUE(judged(31).rising);
}

// Between scans it goes with anonymous memory: what files do is not its rise.
TEST(OwnerTrend, DoesNotMoveWithFiles) {
  const std::vector<Sample> scans = {sample(0, {{Owner::kAnonOther, 8}, {Owner::kFileText, 8}}),
                                     sample(1, {{Owner::kAnonOther, 8}, {Owner::kFileText, 18}}),
                                     sample(30, {{Owner::kAnonOther, 48}, {Owner::kFileText, 308}}),
                                     sample(31, {{Owner::kAnonOther, 48}, {Owner::kFileText, 318}})};
  std::vector<RssPart> rss;
  for (uint64_t t = 0; t <= 31; ++t) {
    const uint64_t anonymous = (t < 5 ? 8 : 48) * kMiB;
    rss.push_back({t * 1'000'000'000, anonymous + (8 + 10 * t) * kMiB, anonymous});
  }
  EXPECT_EQ(trend_of(with_rss_between(scans, rss), {Owner::kAnonOther}).shape, Shape::kStopped);
  EXPECT_TRUE(trend_of(with_rss_between(scans, rss), {Owner::kFileText}).rising);
}

// What RSS did between two scans says how an owner may have got there when it is most of it, and nothing of a small one.
TEST(OwnerTrend, OfFewScansGoesTheWayOfItsKindWhenItIsMostOfIt) {
  std::vector<RssPart> rss;
  for (uint64_t t = 0; t <= 30; ++t)
    rss.push_back({t * 1'000'000'000, (16 + 10 * t) * kMiB, (16 + 10 * t) * kMiB});
  std::vector<Sample> scans = {sample(0, {{Owner::kAnonOther, 8}, {Owner::kCHeapUsed, 8}}),
                               sample(30, {{Owner::kAnonOther, 48}, {Owner::kCHeapUsed, 268}})};
  EXPECT_TRUE(trend_of(with_rss_between(scans, rss), {Owner::kCHeapUsed}).rising);
  EXPECT_EQ(trend_of(with_rss_between(scans, rss), {Owner::kAnonOther}).shape, Shape::kUnseen);
  for (const uint64_t t : {10, 20})
    scans.insert(scans.end() - 1,
                 sample(t, {{Owner::kAnonOther, 8 + t * 4 / 3}, {Owner::kCHeapUsed, 8 + t * 26 / 3}}));
  EXPECT_TRUE(trend_of(with_rss_between(scans, rss), {Owner::kAnonOther}).rising);
}

// A third of the growth took the place of others.
TEST(OwnerTrend, GrowsByNoMoreThanItsKind) {
  std::vector<Sample> samples;
  for (uint64_t t = 0; t <= 60; t += 5)
    samples.push_back(sample(t, {{Owner::kCHeapFree, 200 - 2 * t}, {Owner::kCHeapUsed, 6 * t}}));
  const Trend trend = trend_of(samples, {Owner::kCHeapUsed});
  EXPECT_TRUE(trend.rising);
  EXPECT_EQ(trend.grown_bytes, 240 * kMiB);
  EXPECT_NEAR(*trend.bytes_per_s / kMiB, 4, 0.01);
}

// Clean pages of files that the kernel takes back are no reason to be silent about a leak.
TEST(OwnerTrend, FilesThatLeaveHideNothing) {
  std::vector<Sample> samples;
  for (uint64_t t = 0; t <= 60; t += 5)
    samples.push_back(sample(t, {{Owner::kFileText, 300 - 4 * t}, {Owner::kAnonOther, 4 * t}}));
  EXPECT_EQ(trend_of(samples, {Owner::kAnonOther}).grown_bytes, 240 * kMiB);
}

}  // namespace
}  // namespace memwhy::explain
