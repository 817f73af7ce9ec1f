// SPDX-License-Identifier: Apache-2.0
// The lines of an event script about the Go runtime: what they say, and that they come back as they are.
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

#include "support/event_script.h"

namespace memwhy::testing {
namespace {

using namespace memwhy::events;

constexpr SpaceId kSpace{1};
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

GoCounters usual_counters() {
  GoCounters counters;
  counters.memory_limit_bytes = kNoLimit;
  counters.gc_percent = 100;
  return counters;
}

void expect_round_trip(const std::vector<Event>& events) {
  for (const Event& event : events)
    EXPECT_EQ(parse_script(format_event(event)), std::vector{event}) << format_event(event);
}

TEST(GoScript, counters) {
  GoCounters counters = usual_counters();
  counters.heap_in_use_bytes = 70 << 20;
  counters.heap_free_bytes = 1 << 20;
  counters.gc_cycles = 12;
  GoCounters limited = counters;
  limited.memory_limit_bytes = int64_t{1} << 30;
  limited.gc_percent = -1;
  const std::vector<Event> events = parse_script(R"(
    @5 go-statistics 1 in_use=70M free=1M gc=12
    @6 go-statistics 1 in_use=70M free=1M gc=12 limit=1G gogc=off
  )");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], (Event{5'000'000'000, GoStatistics{kSpace, counters, {}}}));
  EXPECT_EQ(events[1], (Event{6'000'000'000, GoStatistics{kSpace, limited, {}}}));
  expect_round_trip(events);
  expect_round_trip({{1, GoStatistics{kSpace,
                                      {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 50, 15},
                                      {{38, 1000, 41'200}, {39, 7, 8}}}},
                     {2, GoStatistics{kSpace, counters, {}, GoAllocations{{{8, 5}, {64, 7}}, 1 << 20, 3}}}});
}

TEST(GoScript, heap_is_numbered_as_the_scan_that_comes_next) {
  const std::vector<Event> events = parse_script(R"(
    @1 scan 1: 100+1
    @5 go-heap 1 in_use=70M quiet spans=3 in_motion=1 tables=0x7f0000/0x8f0000
      c000000+16384 heap live=64M dead=1K free=3
      c004000+256 idle
      c004100+1 released
    @5 scan 1: c000000+16384
    @6 go-heap 1 n=9 none problem="go1.99 is not known"
    @7 go-heap 1 n=9 dwarf
  )");
  ASSERT_EQ(events.size(), 8u);
  GoReading reading{kSpace, 2, GoLayout::kTable, true, 3, 1, usual_counters()};
  reading.counters.heap_in_use_bytes = 70 << 20;
  EXPECT_EQ(events[1].payload, Payload(reading));
  EXPECT_EQ(events[2].payload,
            Payload(RuntimePages{
                kSpace,
                2,
                "go",
                Trust::kVerified,
                "",
                {kGoUseNames.begin(), kGoUseNames.end()},
                {{0xc000000, 16384, 0, 64 << 20, 1 << 10, 3}, {0xc004000, 256, 3}, {0xc004100, 1, 4}},
                {0x7f0000, 0x8f0000}}));
  EXPECT_EQ(std::get<PageScan>(events[3].payload).scan, 2u);
  EXPECT_EQ(events[4].payload, Payload(GoReading{kSpace, 9, GoLayout::kNone, false, 0, 0, usual_counters()}));
  EXPECT_EQ(events[5].payload,
            Payload(RuntimePages{kSpace, 9, "go", Trust::kUnreadable, "go1.99 is not known", {}, {}, {}}));
  EXPECT_EQ(std::get<GoReading>(events[6].payload).layout, GoLayout::kDwarf);
  expect_round_trip(events);
}

TEST(RuntimeScript, uses_are_numbered_as_they_are_met) {
  const std::vector<Event> events = parse_script(R"(
    @1 scan 1: 100+1
    @5 runtime-pages 1 toy tables=0x7f0000
      100+3 slab live=1K dead=2K free=3
      103+1 spare
      104+1 slab
    @6 runtime-pages 1 toy n=9 unverified problem="it moves"
  )");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].payload,
            Payload(RuntimePages{kSpace,
                                 2,
                                 "toy",
                                 Trust::kVerified,
                                 "",
                                 {"slab", "spare"},
                                 {{0x100, 3, 0, 1 << 10, 2 << 10, 3}, {0x103, 1, 1}, {0x104, 1, 0}},
                                 {0x7f0000}}));
  EXPECT_EQ(events[2].payload,
            Payload(RuntimePages{kSpace, 9, "toy", Trust::kUnverified, "it moves", {}, {}, {}}));
  expect_round_trip(events);
}

TEST(GoScript, profile) {
  const std::vector<Event> events = parse_script(R"(
    @5 go-profile 1: 64M published=2 current=3 0x45 0x46, 1K current=1
    @6 go-profile 1 rate=1K assumed
    @7 go-profile 1 off
    @8 go-profile 1 unreadable
  )");
  ASSERT_EQ(events.size(), 4u);
  using Source = GoProfile::Source;
  EXPECT_EQ(
      events[0].payload,
      Payload(GoProfile{
          kSpace, Source::kBuckets, 524'288, false, {{64 << 20, 2, 3, {0x45, 0x46}}, {1 << 10, 0, 1, {}}}}));
  EXPECT_EQ(events[1].payload, Payload(GoProfile{kSpace, Source::kBuckets, 1024, true, {}}));
  EXPECT_EQ(events[2].payload, Payload(GoProfile{kSpace, Source::kOffInBinary, 0, false, {}}));
  EXPECT_EQ(events[3].payload, Payload(GoProfile{kSpace, Source::kUnreadable, 0, false, {}}));
  expect_round_trip(events);
}

TEST(GoScript, goroutines) {
  const std::vector<Event> events = parse_script(R"(
    @6 goroutines 1
      5 "chan send" by=0x45 stack=10K since=1.5 kept=320M objects=10 large=0xc000:64M@0x46/0x47 large=0xd000:1K 0x48 0x49
      2 0x50
      1
    @7 goroutines 1 n=1000 incomplete
  )");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].payload,
            Payload(GoGoroutines{kSpace,
                                 8,
                                 true,
                                 {{5,
                                   "chan send",
                                   0x45,
                                   {0x48, 0x49},
                                   10 << 10,
                                   1'500'000'000,
                                   320 << 20,
                                   10,
                                   {{0xc000, 64 << 20, {0x46, 0x47}}, {0xd000, 1 << 10, {}}}},
                                  {2, "", 0, {0x50}, 0, 0, 0, 0, {}},
                                  {1, "", 0, {}, 0, 0, 0, 0, {}}}}));
  EXPECT_EQ(events[1].payload, Payload(GoGoroutines{kSpace, 1000, false, {}}));
  expect_round_trip(events);
}

TEST(GoScript, what_the_heap_hangs_from) {
  const std::vector<Event> events = parse_script(R"(
    @6 goroutines 1 held=2G:9 cut
      3 0x50
      variable name=main.sessions used_by=main.login at=0x5b0 bytes=64M objects=5 resident=60M also=1K size=64K:7 size=16:1 slots=8 entries=1 pool=4
      holders n=4 by=0x45 bytes=1 large=0xc000:64M@0x46 pinned=2 pinned_bytes=512K used=40 0x48 0x49
      queue n=9 bytes=1
  )");
  ASSERT_EQ(events.size(), 1u);
  GoHolder variable;
  variable.name = "main.sessions";
  variable.used_by = "main.login";
  variable.address = 0x5b0;
  variable.bytes = 64 << 20;
  variable.objects = 5;
  variable.resident_bytes = 60 << 20;
  variable.also_bytes = 1 << 10;
  variable.sizes = {{64 << 10, 7}, {16, 1}};
  variable.slots = 8;
  variable.entries = 1;
  variable.pool_lists = 4;
  GoHolder goroutines;
  goroutines.kind = GoHolder::Kind::kGoroutines;
  goroutines.count = 4;
  goroutines.created_at = 0x45;
  goroutines.frames = {0x48, 0x49};
  goroutines.bytes = 1;
  goroutines.large = {{0xc000, 64 << 20, {0x46}}};
  goroutines.pinned = 2;
  goroutines.pinned_bytes = 512 << 10;
  goroutines.used_bytes = 40;
  GoHolder queue;
  queue.kind = GoHolder::Kind::kFinalizers;
  queue.count = 9;
  queue.bytes = 1;
  GoGoroutines all{kSpace, 3, true, {{3, "", 0, {0x50}, 0, 0, 0, 0, {}}}};
  all.held = GoHeld{false, uint64_t{2} << 30, 9, {variable, goroutines, queue}};
  EXPECT_EQ(events[0].payload, Payload(all));
  expect_round_trip(events);
}

TEST(GoScript, what_it_does_not_understand_is_told) {
  for (const char* script :
       {"go-heap 1: 100+1 stck", "go-heap 1: 100+1 heap kept=1", "go-statistics 1 used=1", "go-profile 1: 0x",
        "goroutines 1: 5 \"chan send\" large=0xc000", "goroutines 1: many"})
    EXPECT_THROW(parse_script(script), std::invalid_argument) << script;
}

}  // namespace
}  // namespace memwhy::testing
