// SPDX-License-Identifier: Apache-2.0
// A Go program over time: counters and rates at the points, collections, memory given back, settings that change, steps of
// the heap with the stack that allocated them.
#include <algorithm>

#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

// The scan that makes the layout trusted, at the end.
Explanation at_the_end(const std::string& script, int seconds, const std::string& counters) {
  return told(go_program("go1.26.8") + script +
              moment(seconds, "c000000+100 heap live=400K", "c000000+100", "", counters));
}

std::vector<TimelineEvent> events_of(const Explanation& e, EventWhat what) {
  std::vector<TimelineEvent> out;
  for (const TimelineEvent& event : e.processes.at(0).events)
    if (event.what == what) out.push_back(event);
  return out;
}

const GoTimelinePoint* point_at(const Explanation& e, TimeNs time) {
  for (const TimelinePoint& point : e.processes.at(0).timeline)
    if (point.time == time && point.go) return &*point.go;
  return nullptr;
}

constexpr TimeNs kSecond = 1'000'000'000;

TEST(GoTimeline, PointsHaveWhatWasReleasedTheSettingsAndRatesByClass) {
  auto e = at_the_end(
      "@11 counters 1 anon=1M\ngo-statistics 1 in_use=4M large=10M:20 small=16:1000 small=64:500\n"
      "@13 counters 1 anon=1M\ngo-statistics 1 in_use=4M released=3M goal=8M gogc=50 limit=1G large=14M:22 "
      "small=16:3000 "
      "small=64:500 small=1024:10\n",
      13, "in_use=4M released=3M goal=8M gogc=50 limit=1G");
  const GoTimelinePoint* first = point_at(e, 11 * kSecond);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->gc_percent, 100);
  EXPECT_FALSE(first->allocation) << "nothing to compare it with";
  const GoTimelinePoint* second = point_at(e, 13 * kSecond);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->released_bytes, 3u << 20);
  EXPECT_EQ(second->goal_bytes, 8u << 20);
  EXPECT_EQ(second->gc_percent, 50);
  EXPECT_EQ(second->memory_limit_bytes, 1 << 30);
  ASSERT_TRUE(second->allocation) << "the reading of the scan has none, the one beside it has";
  const GoAllocationRates& rates = *second->allocation;
  EXPECT_EQ(rates.seconds, 2);
  EXPECT_EQ(rates.large_bytes_per_s, 2 << 20);
  EXPECT_EQ(rates.large_objects_per_s, 1);
  ASSERT_EQ(rates.small.size(), 2u) << "no object of 64 B";
  EXPECT_EQ(rates.small[0].object_bytes, 16u);
  EXPECT_EQ(rates.small[0].objects_per_s, 1000);
  EXPECT_EQ(rates.small[1].object_bytes, 1024u);
  EXPECT_EQ(rates.small[1].objects_per_s, 5);
  EXPECT_EQ(rates.objects_per_s, 1006);
  EXPECT_EQ(rates.bytes_per_s, (2 << 20) + 16'000 + 5120);
  ASSERT_TRUE(e.processes[0].go->allocation);
  EXPECT_EQ(e.processes[0].go->allocation->bytes_per_s, rates.bytes_per_s);
  const auto changes = events_of(e, EventWhat::kLimit);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].text, "GOGC was set to 50 (it was 100)");
  EXPECT_EQ(changes[1].text, "GOMEMLIMIT was set to 1.0 GiB (it was none)");
}

TEST(GoTimeline, CountersThatFellGiveNoRate) {
  auto e = at_the_end(
      "@11 go-statistics 1 large=10M:20 small=16:1000\n@12 go-statistics 1 large=10M:20 small=16:900\n", 13,
      "in_use=4M");
  EXPECT_FALSE(e.processes[0].go->allocation);
}

TEST(GoTimeline, CollectionsWithPauseAndMarking) {
  auto e = at_the_end(
      "@11.100 go-call 1 collection_start 0 s1\n@11.108 go-call 1 mark_end 0 s1\n"
      "@11.500 go-call 1 mark_end 0 s1\n"  // of a collection that began before
      "@12 go-statistics 1 gc=8 pause=7:1700000011108100000:90000 pause=8:1700000011900000000:41000\n",
      13, "in_use=4M gc=8");
  const auto collections = events_of(e, EventWhat::kCollection);
  ASSERT_EQ(collections.size(), 2u);
  EXPECT_EQ(collections[0].time, 11'108'100'000u);
  EXPECT_EQ(collections[0].text, "collection 7 stopped the world for 0.09 ms, and marked for 8.0 ms");
  ASSERT_TRUE(collections[0].gc);
  EXPECT_EQ(collections[0].gc->collection, 7u);
  EXPECT_EQ(collections[0].gc->pause_ns, 90'000u);
  EXPECT_EQ(collections[0].gc->mark_ns, 8'000'000u);
  EXPECT_EQ(collections[1].text, "collection 8 stopped the world for 0.04 ms");
  EXPECT_EQ(collections[1].gc->mark_ns, std::nullopt);
  const GoPauseSummary& pauses = *e.processes[0].go->pauses;
  EXPECT_EQ(pauses.listed, 2u);
  EXPECT_EQ(pauses.marks, 1u);
  EXPECT_EQ(pauses.mark_total_ns, 8'000'000u);
}

TEST(GoTimeline, OfManyCollectionsTheLatestAndTheLongestAreListed) {
  std::string script;
  for (int i = 1; i <= 1000; ++i)
    script += fmt::format("@{} go-statistics 1 gc={} pause={}:{}:{}\n", 10 + i, i, i,
                          1'700'000'000'000'000'000 + (10 + i) * 1'000'000'000ull, i == 3 ? 5'000'000 : 1000);
  auto e = at_the_end(script, 1011, "gc=1000");
  const auto collections = events_of(e, EventWhat::kCollection);
  ASSERT_EQ(collections.size(), 288u);
  EXPECT_EQ(collections[0].gc->collection == 3 || collections[1].gc->collection == 3 ||
                collections[2].gc->collection == 3,
            true);
  EXPECT_EQ(collections.back().gc->collection, 1000u);
  EXPECT_EQ(e.processes[0].go->pauses->listed, 288u);
  EXPECT_EQ(e.processes[0].go->pauses->collections, 1000u);
}

TEST(GoTimeline, MemoryThatIsGivenBack) {
  auto e = at_the_end(
      "@11 go-statistics 1 in_use=64M free=100M released=4M\n@11.500 go-call 1 scavenge 18446744073709551615 "
      "s2\n"
      "@12 go-statistics 1 in_use=64M free=20M released=84M\n"
      "@13 go-statistics 1 in_use=64M free=20M released=200M\n",  // address space that was never touched
      14, "in_use=64M free=20M released=200M");
  const auto released = events_of(e, EventWhat::kReleased);
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].bytes, 80u << 20);
  EXPECT_EQ(released[0].text,
            "the Go runtime gave 80.0 MiB back to the system within 1.0 s, asked for by main.(*job).load "
            "(main.go:36)");
  const auto& calls = e.processes[0].go_calls;
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].what, events::GoFunction::kScavenge);
  EXPECT_EQ(calls[0].bytes, 0u) << "all there is is no number of bytes";
}

TEST(GoTimeline, SampledObjectsBySite) {
  // Two objects of 1 KiB stand for 512 KiB each, and one of 64 MiB for itself.
  auto e = told(go_program("go1.26.8") + "go-profile 1 rate=512K\n" +
                "@11 go-call 1 sampled_allocation 1024 s2\ngo-call 1 sampled_allocation 1024 s2\n"
                "go-call 1 sampled_allocation 64M s1\n" +
                moment(12, "c000000+100 heap live=400K", "c000000+100", "", "in_use=4M"));
  const auto& sites = e.processes[0].go->sites;
  ASSERT_EQ(sites.heaviest.size(), 2u);
  EXPECT_EQ(frames(e.processes[0], sites.heaviest[0].stack, FrameText::kShort).front(),
            "main.(*job).load (main.go:38)");
  EXPECT_EQ(sites.heaviest[0].bytes, 64u << 20);
  EXPECT_EQ(sites.heaviest[1].samples, 2u);
  EXPECT_EQ(frames(e.processes[0], sites.heaviest[1].stack, FrameText::kShort).front(),
            "main.(*job).load (main.go:36)");
  EXPECT_NEAR(static_cast<double>(*sites.heaviest[1].bytes), 1 << 20, 2048);
  EXPECT_EQ(sites.left_out, 0u);
}

// The buckets would be 50 MiB by the standard rate, in a heap of 1 MiB: it is not this program's.
TEST(GoTimeline, SampledObjectsOfAnUnknownRateStandForNoBytes) {
  auto e = told(go_program("go1.22.12") + "go-profile 1 assumed: 64 published=100 0x401500 0x401300\n" +
                "@11 go-call 1 sampled_allocation 1024 s2\n" +
                moment(12, "c000000+256 heap live=400K dead=0 free=624K", "c000000+256", "",
                       "in_use=1M live=400K goal=4M"));
  const auto& sites = e.processes[0].go->sites;
  ASSERT_EQ(sites.heaviest.size(), 1u);
  EXPECT_EQ(sites.heaviest[0].samples, 1u);
  EXPECT_EQ(sites.heaviest[0].bytes, std::nullopt);
}

// in_use, live in MiB and the number of collections, once a second from second 11 on.
struct Reading {
  int in_use, live, gc;
};
Explanation of_readings(const std::vector<Reading>& readings, const std::string& calls = "") {
  std::string script = calls;
  int second = 11;
  for (const Reading& r : readings)
    script +=
        fmt::format("@{} go-statistics 1 in_use={}M live={}M gc={}\n", second++, r.in_use, r.live, r.gc);
  const Reading& last = readings.back();
  return at_the_end(script, second,
                    fmt::format("in_use={}M live={}M gc={}", last.in_use, last.live, last.gc));
}
GoSteps steps(const std::vector<Reading>& readings, const std::string& calls = "") {
  return of_readings(readings, calls).processes[0].go->steps;
}

TEST(GoSteps, OneForEachJobWithItsStack) {
  const Explanation e =
      of_readings({{64, 64, 1}, {64, 64, 1}, {128, 64, 1}, {128, 128, 2}, {192, 128, 2}, {192, 192, 3}},
                  "@12.500 go-call 1 large_allocation 64M s2\n@12.600 go-call 1 large_allocation 2M s1\n"
                  "@14.250 go-call 1 large_allocation 20M s2\n");
  const GoSteps& all = e.processes[0].go->steps;
  ASSERT_EQ(all.steps.size(), 2u);
  EXPECT_EQ(all.steps[0].since, 12 * kSecond);
  EXPECT_EQ(all.steps[0].time, 13 * kSecond);
  EXPECT_EQ(all.steps[0].bytes, 64u << 20);
  EXPECT_EQ(all.steps[0].allocated, 12'500'000'000u);
  EXPECT_EQ(all.steps[0].objects, 1u);
  const std::vector<std::string> stack = frames(e.processes[0], all.steps[0].stack, FrameText::kShort);
  ASSERT_EQ(stack.size(), 4u);
  EXPECT_EQ(stack[2], "main.(*job).load (main.go:36)");
  EXPECT_EQ(all.steps[1].time, 15 * kSecond);
  EXPECT_EQ(all.steps[1].objects, 0u) << "20 MiB do not explain 64";
  EXPECT_EQ(all.steps[1].stack, kNoIndex);
}

TEST(GoSteps, WhatCollectionsTakeIsNone) {
  EXPECT_TRUE(
      steps({{64, 60, 1}, {96, 60, 1}, {128, 60, 1}, {64, 60, 2}, {128, 60, 2}, {64, 60, 3}}).steps.empty());
  // Not judged yet.
  EXPECT_TRUE(steps({{64, 60, 1}, {64, 60, 1}, {128, 60, 1}, {128, 60, 1}}).steps.empty());
  // Garbage that the next collection found, but that is not yet swept when the recording ends.
  EXPECT_TRUE(steps({{64, 60, 1}, {128, 60, 1}, {128, 60, 2}}).steps.empty());
}

TEST(GoSteps, AnEvenRiseHasNone) {
  std::vector<Reading> even;
  for (int i = 0; i < 20; ++i) even.push_back({64 + 8 * i, 64 + 8 * i, i});
  EXPECT_TRUE(steps(even).steps.empty());
  even[10].in_use += 64;
  for (size_t i = 10; i < even.size(); ++i) even[i].in_use = even[i].live = 128 + 8 * static_cast<int>(i);
  const GoSteps all = steps(even);
  ASSERT_EQ(all.steps.size(), 1u);
  EXPECT_EQ(all.steps[0].bytes, 72u << 20);
}

TEST(GoSteps, WhatGoesUpAndDownByItselfIsNone) {
  const std::vector<Reading> little = {
      {640, 600, 1}, {640, 600, 1}, {656, 616, 2}, {680, 616, 2}, {680, 632, 3}};
  EXPECT_TRUE(steps(little).steps.empty()) << "16 MiB of 600";
  EXPECT_EQ(steps(little, "@12.500 go-call 1 large_allocation 20M s2\n").steps.size(), 1u);
  EXPECT_TRUE(steps(little, "@12.500 go-call 1 large_allocation 100M s2\n").steps.empty())
      << "a stack that allocates all the time explains nothing";
}

TEST(GoSteps, TheLargestOfManyAreListed) {
  std::vector<Reading> many;
  std::string calls;
  int mib = 64;
  for (int i = 0; i < 100; ++i) {
    many.push_back({mib, mib, 2 * i});
    many.push_back({mib, mib, 2 * i + 1});
    many.push_back({mib, mib, 2 * i + 1});
    const int more = i < 50 ? 8 : 16;
    calls += fmt::format("@{}.500 go-call 1 large_allocation {}M s2\n", 13 + 3 * i, more);
    mib += more;
  }
  const GoSteps all = steps(many, calls);
  EXPECT_EQ(all.steps.size(), 64u);
  EXPECT_EQ(all.steps.size() + all.left_out, 99u);
  EXPECT_EQ(all.steps.back().bytes, 16u << 20);
  EXPECT_TRUE(std::is_sorted(all.steps.begin(), all.steps.end(),
                             [](const GoStep& a, const GoStep& b) { return a.time < b.time; }));
}

}  // namespace
}  // namespace memwhy::explain
