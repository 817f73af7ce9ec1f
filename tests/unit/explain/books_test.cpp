// SPDX-License-Identifier: Apache-2.0
// A Go heap judged by its own counters: programs are played with a collector at GOGC=100, and read once a second.
#include "explain/go/books.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <limits>

namespace memwhy::explain {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr double kMiB = 1 << 20;

// MiB: in use at each time, and allocated since the start.
struct Program {
  std::function<double(double)> live, allocated;
};

std::vector<timeline::GoPoint> read(const Program& program, int from, int to) {
  std::vector<timeline::GoPoint> out;
  double marked = program.live(0), freed = 0, goal = std::max(4.0, 2 * marked);
  uint32_t cycles = 1;
  for (int tick = 0; tick <= to * 100; ++tick) {
    const double t = tick / 100.0;
    if (program.allocated(t) + program.live(0) - freed >= goal) {
      marked = program.live(t);
      freed = program.allocated(t) + program.live(0) - marked;
      goal = std::max(4.0, 2 * marked);
      ++cycles;
    }
    if (tick % 100 != 0 || t < from) continue;
    timeline::GoPoint point;
    point.time = static_cast<TimeNs>(t) * kSecond;
    events::GoCounters& c = point.counters;
    c.gc_percent = 100;
    c.memory_limit_bytes = std::numeric_limits<int64_t>::max();
    c.gc_cycles = cycles;
    c.live_bytes = static_cast<uint64_t>(marked * kMiB);
    c.goal_bytes = static_cast<uint64_t>(goal * kMiB);
    c.allocated_bytes = static_cast<uint64_t>((program.allocated(t) + program.live(0)) * kMiB);
    c.freed_bytes = static_cast<uint64_t>(freed * kMiB);
    out.push_back(point);
  }
  return out;
}

Program leaking(double base, double kept, double garbage) {
  return {[=](double t) { return base + kept * t; }, [=](double t) { return (kept + garbage) * t; }};
}

TEST(HeapBooks, ALeakRisesInStairsThatDouble) {
  // 9 MiB/s kept, as of time.After before Go 1.23. From 60 MiB a collection at 60, 120, 240, 480 …
  const auto leak = leaking(60, 9, 1);
  for (const int to : {40, 60, 90, 150}) {
    const HeapBooks books = books_of(read(leak, 0, to));
    EXPECT_TRUE(books.lasting()) << to;
    EXPECT_GT(books.grown_bytes, 200 * kMiB) << to;
    EXPECT_NEAR(*books.bytes_per_s / kMiB, 9, 1) << to;
  }
  // Attached later, between two collections.
  EXPECT_TRUE(books_of(read(leak, 3, 60)).lasting());
}

TEST(HeapBooks, TheFirstStairOfFiveIsASmallOne) {
  // 12 MiB/s from 12 MiB: left in use after each collection 24, 48, 96, 192, 384.
  const HeapBooks books = books_of(read(leaking(12, 12, 0), 0, 45));
  EXPECT_EQ(books.collections, 5u);
  EXPECT_TRUE(books.lasting());
}

TEST(HeapBooks, ALeakBelowMuchGarbage) {
  for (int to = 60; to <= 120; to += 10)
    EXPECT_TRUE(books_of(read(leaking(40, 1, 40), 0, to)).lasting()) << to;
}

TEST(HeapBooks, GarbageAloneDoesNot) {
  for (const double garbage : {2.0, 10.0, 200.0})
    for (int to = 20; to <= 120; to += 7) {
      const HeapBooks books = books_of(read(leaking(40, 0, garbage), 0, to));
      EXPECT_FALSE(books.rising) << garbage << " " << to;
      EXPECT_FALSE(books.unsettled) << garbage << " " << to;
    }
}

// 400 MiB loaded in 10 s, collected eight times; then requests that leave nothing, or none at all.
TEST(HeapBooks, ALoadThatIsOver) {
  const auto live = [](double t) { return 4 + 40 * std::min(t, 10.0); };
  for (const double garbage : {0.0, 20.0})
    for (int to = 25; to <= 90; to += 5)
      EXPECT_FALSE(
          books_of(read({live, [&](double t) { return 40 * std::min(t, 10.0) + garbage * t; }}, 0, to))
              .rising)
          << garbage << " " << to;
}

// As it was read of a program whose map of contexts grows: by leaps when it doubles, and more slowly between them. The next
// collection will tell, and until then nothing is all clear.
TEST(HeapBooks, BetweenTwoLeapsOfAMapNothingIsSettled) {
  struct Reading {
    double seconds;
    uint32_t cycles;
    double live, in_use, allocated;
  };
  std::vector<timeline::GoPoint> curve;
  for (const Reading& read : std::initializer_list<Reading>{{0, 0, 0, 0, 0},
                                                            {4, 2, 4.2, 4.3, 6.3},
                                                            {5, 3, 6.6, 10.3, 13.2},
                                                            {6, 4, 9.9, 12.3, 16.8},
                                                            {7, 5, 15.5, 19.3, 26.5},
                                                            {9, 6, 23.5, 24.6, 34.7},
                                                            {10, 7, 32.9, 33.3, 50.5},
                                                            {13, 7, 32.9, 43.9, 61.1},
                                                            {16, 8, 56.7, 69.1, 94.8},
                                                            {20, 8, 56.7, 85.9, 111.6},
                                                            {25, 9, 89.4, 90.5, 129.6},
                                                            {28, 9, 89.4, 143.2, 182.3},
                                                            {30, 9, 89.4, 160.9, 199.9},
                                                            {31, 10, 131.5, 134.5, 203.4},
                                                            {38, 10, 131.5, 159.4, 228.3}}) {
    timeline::GoPoint point;
    point.time = static_cast<TimeNs>(read.seconds) * kSecond;
    point.counters.gc_percent = 100;
    point.counters.gc_cycles = read.cycles;
    point.counters.live_bytes = static_cast<uint64_t>(read.live * kMiB);
    point.counters.allocated_bytes = static_cast<uint64_t>(read.allocated * kMiB);
    point.counters.freed_bytes = static_cast<uint64_t>((read.allocated - read.in_use) * kMiB);
    curve.push_back(point);
  }
  const HeapBooks books = books_of(curve);
  EXPECT_FALSE(books.rising);
  EXPECT_TRUE(books.unsettled);
}

TEST(HeapBooks, SaysWhenTheNextCollectionIsDue) {
  // 64 MiB in use, 1 MiB/s: at 128.
  const HeapBooks books = books_of(read(leaking(64, 1, 0), 0, 24));
  EXPECT_EQ(books.collections, 0u);
  EXPECT_FALSE(books.rising);
  EXPECT_NEAR(*books.next_collection_s, 40, 1);
  EXPECT_NEAR(*books.seconds_between, 64, 1);
  // The runtime collects at least each two minutes.
  EXPECT_NEAR(*books_of(read(leaking(640, 1, 0), 0, 24)).next_collection_s, 96, 1);
  auto off = read(leaking(64, 1, 0), 0, 24);
  for (timeline::GoPoint& point : off) point.counters.gc_percent = -1;
  EXPECT_FALSE(books_of(off).next_collection_s);
}

// A heap that goes up and down above a floor that rises: what is said is the floor, never the difference of two ends.
TEST(HeapBooks, OfTeethTheFloorCounts) {
  for (const std::vector<int>& live :
       {std::vector<int>{100, 10, 100, 20, 100, 30, 100, 40, 45},
        std::vector<int>{300, 60, 320, 90, 340, 120, 360, 150, 380, 180, 210, 220}}) {
    std::vector<timeline::GoPoint> curve;
    uint64_t allocated = 0;
    for (size_t i = 0; i < live.size(); ++i) {
      timeline::GoPoint point;
      point.time = 10 * i * kSecond;
      point.counters.gc_cycles = static_cast<uint32_t>(i + 1);
      point.counters.live_bytes = static_cast<uint64_t>(live[i] * kMiB);
      allocated += 200 * (1 << 20);
      point.counters.allocated_bytes = allocated;
      point.counters.freed_bytes = allocated - point.counters.live_bytes;
      curve.push_back(point);
    }
    const HeapBooks books = books_of(curve);
    EXPECT_LE(books.live_before, books.live_now);
    EXPECT_EQ(books.grown_bytes, books.rising ? books.live_now - books.live_before : 0);
    EXPECT_LE(books.grown_bytes, 200 * kMiB);
  }
}

}  // namespace
}  // namespace memwhy::explain
