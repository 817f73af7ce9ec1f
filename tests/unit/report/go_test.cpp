// SPDX-License-Identifier: Apache-2.0
// The Go parts of both reports: unknown is null, "off" is not 0, no limit is null.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "explain/stack_table.h"
#include "report/json.h"
#include "report/text.h"
#include "report/text_go.h"

namespace memwhy::report {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

explain::Frame frame(std::string function, uint32_t line) {
  explain::Frame out;
  out.function = std::move(function);
  out.file = "/srv/m.go";
  out.line = line;
  return out;
}

explain::ProcessExplanation process(int32_t gc_percent, int64_t limit) {
  explain::ProcessExplanation out;
  out.comm = "app";
  out.scan_time = 1;
  out.rss.bytes = 400 * kMiB;
  out.heap_profile_inuse_bytes = 8 * kMiB;
  out.heap_profile_source = explain::ProfileSource::kBuckets;
  out.heap_profile_rate = 512 << 10;
  out.go.emplace();
  out.go->version = "go1.26.8";
  out.go->layout = events::GoLayout::kTable;
  out.go->totals.emplace();
  out.go->totals->gc_percent = gc_percent;
  out.go->totals->memory_limit_bytes = limit;
  out.go->totals->live_bytes = 6 * kMiB;
  out.go->totals->goal_bytes = 12 * kMiB;
  out.go->totals->gc_cycles = 3;
  return out;
}

nlohmann::json entry(explain::ProcessExplanation process) {
  explain::Explanation all;
  all.processes.push_back(std::move(process));
  return nlohmann::json::parse(to_json(all)).at("processes").at(0);
}

TEST(GoJson, SettingsAndTotals) {
  auto json = entry(process(-1, std::numeric_limits<int64_t>::max()));
  EXPECT_EQ(json["go"]["settings"]["GOGC"], "off");
  EXPECT_TRUE(json["go"]["settings"]["GOMEMLIMIT"].is_null());
  EXPECT_EQ(json["go"]["totals"]["/gc/heap/live:bytes"], 6 * kMiB);
  EXPECT_EQ(json["go"]["totals"]["/gc/cycles/total:gc-cycles"], 3);
  EXPECT_EQ(json["gap_bytes"], 392 * kMiB);
  json = entry(process(50, 1 << 30));
  EXPECT_EQ(json["go"]["settings"]["GOGC"], 50);
  EXPECT_EQ(json["go"]["settings"]["GOMEMLIMIT"], 1 << 30);
}

TEST(GoJson, UnknownIsNull) {
  auto unread = process(100, 0);
  unread.go->totals.reset();
  unread.go->layout = events::GoLayout::kUnverified;
  unread.go->layout_problem = "no layout for go1.99";
  unread.heap_profile_inuse_bytes.reset();
  auto json = entry(unread);
  EXPECT_TRUE(json["go"]["settings"]["GOGC"].is_null());
  EXPECT_TRUE(json["go"]["totals"].is_null());
  EXPECT_TRUE(json["goroutines"].is_null());
  EXPECT_TRUE(json["gap_bytes"].is_null());
  EXPECT_EQ(json["go"]["layout_problem"], "no layout for go1.99");
}

TEST(GoJson, Activity) {
  auto busy = process(100, std::numeric_limits<int64_t>::max());
  explain::GoAllocationRates rates{2.0, 5000.04, 70.0, 4000.0, 0.5, {}};
  for (uint64_t i = 1; i <= 20; ++i) rates.small.push_back({8 * i, 3.25});
  busy.go->allocation = rates;
  busy.go->pauses = {3, 0, 300, 200, 0, 0, 0, 1};
  const uint32_t stack =
      explain::StackTable(busy.attribution).add(std::vector<explain::Frame>{frame("main.f", 4)});
  busy.go->sites.heaviest.push_back({2, std::nullopt, stack});
  busy.go->sites.left_out = 7;
  busy.go->steps.steps.push_back({1, 2, 64 * kMiB, 0, 0, 0, explain::kNoIndex});
  busy.go->steps.steps.push_back({3, 4, 64 * kMiB, 1, 60 * kMiB, 4, stack});
  busy.events.push_back(
      {1, explain::EventWhat::kCollection, "collection 3", std::nullopt, explain::GoCycle{3, 200, 9000}});
  busy.events.push_back({1, explain::EventWhat::kStep, "RSS rose", 5});
  explain::TimelinePoint point;
  point.go = explain::GoTimelinePoint{1, 2, 3, 4, 5, 6, -1, 1 << 30, rates};
  busy.timeline.push_back(point);
  auto json = entry(busy);
  EXPECT_EQ(json["go"]["allocation"]["bytes_per_s"], 5000.0);
  EXPECT_EQ(json["go"]["allocation"]["small_objects_per_s"].size(), 20u);
  EXPECT_EQ(json["go"]["allocation"]["small_objects_per_s"]["160"], 3.3);
  EXPECT_EQ(json["go"]["allocation"]["small_left_out"], 0);
  EXPECT_TRUE(json["go"]["gc"]["mark_total_ns"].is_null()) << "no marking was seen";
  EXPECT_EQ(json["go"]["gc"]["listed"], 1);
  EXPECT_TRUE(json["go"]["allocation_sites"][0]["bytes"].is_null());
  EXPECT_EQ(json["go"]["allocation_sites_left_out"], 7);
  EXPECT_EQ(json["go"]["allocation_sites"][0]["frames"], nlohmann::json{"main.f (m.go:4)"});
  EXPECT_FALSE(json["go"]["allocation_sites"][0].contains("stack"))
      << "an index into a table that is not there";
  EXPECT_TRUE(json["go"]["steps"][0]["allocated"].is_null());
  EXPECT_EQ(json["go"]["steps"][1]["allocated"]["bytes"], 60 * kMiB);
  EXPECT_EQ(json["events"][0]["gc"]["mark_ns"], 9000);
  EXPECT_TRUE(json["events"][1]["gc"].is_null());
  const auto& at = json["timeline"][0]["go"];
  EXPECT_EQ(at["released"], 6);
  EXPECT_EQ(at["GOGC"], "off");
  EXPECT_EQ(at["GOMEMLIMIT"], 1 << 30);
  EXPECT_EQ(at["allocation"]["small_objects_per_s"].size(), 16u);
  EXPECT_EQ(at["allocation"]["small_left_out"], 4);
}

TEST(GoText, Allocation) {
  auto busy = process(100, std::numeric_limits<int64_t>::max());
  busy.go->allocation = explain::GoAllocationRates{
      2.0, 3.0 * kMiB, 20'480.5, 1.0 * kMiB, 0.5, {{64, 16'384}, {1024, 1024}, {8, 3072}}};
  EXPECT_EQ(go_lines(busy, true).back(),
            "Allocation: 3.0 MiB/s, 20,480 objects/s: 1.0 MiB/s large (above 32 KiB), 1.0 MiB/s in objects "
            "of 64 B, 1.0 "
            "MiB/s in objects of 1,024 B");
  busy.go->allocation = explain::GoAllocationRates{};
  EXPECT_EQ(go_lines(busy, true).back(), "Allocation: none during the recording");
}

TEST(GoJson, HeapProfileRate) {
  auto known = process(100, 0);
  auto json = entry(known);
  EXPECT_EQ(json["heap_profile"]["rate_bytes"], 512 << 10);
  EXPECT_EQ(json["heap_profile"]["rate_assumed"], false);
  known.heap_profile_rate_assumed = true;
  EXPECT_EQ(entry(known)["heap_profile"]["rate_assumed"], true);
  known.heap_profile_rate.reset();
  known.heap_profile_inuse_bytes.reset();
  json = entry(known);
  EXPECT_TRUE(json["heap_profile"]["inuse_bytes"].is_null());
  EXPECT_TRUE(json["heap_profile"]["rate_bytes"].is_null());
  EXPECT_TRUE(json["heap_profile"]["rate_assumed"].is_null());
  EXPECT_TRUE(json["gap_bytes"].is_null());
}

TEST(GoText, HeapProfileOfAnAssumedRate) {
  auto known = process(100, 0);
  known.heap_profile_rate_assumed = true;
  EXPECT_EQ(
      go_lines(known, true).at(1),
      "Heap profile: assumes the default sampling rate of 512 KiB; Go before 1.24 does not publish its rate");
  known.heap_profile_rate.reset();
  known.heap_profile_inuse_bytes.reset();
  EXPECT_EQ(
      go_lines(known, true).front(),
      "heap profile: sampling rate not known (Go before 1.24 does not publish it); the default rate would "
      "imply a profile larger than the heap");
}

TEST(GoText, HeapProfileAndGap) {
  auto known = process(100, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(go_lines(known, true),
            (std::vector<std::string>{
                "RSS 400.0 MiB; heap profile 8.0 MiB; 392.0 MiB not in the heap profile",
                "Go heap: 6.0 MiB live after collection 3, goal 12.0 MiB; GOGC=100, GOMEMLIMIT=none"}));
  known.go->layout = events::GoLayout::kDwarf;
  EXPECT_EQ(go_lines(known, true).back(),
            "Go tables: memwhy has no layout for this release; read with the program's own DWARF");
  known.heap_profile_inuse_bytes = 500 * kMiB;
  EXPECT_EQ(go_lines(known, true).front(),
            "RSS 400.0 MiB; heap profile 500.0 MiB; 100.0 MiB of the heap profile not resident");
  known.heap_profile_inuse_bytes.reset();
  known.heap_profile_source = explain::ProfileSource::kOffInBinary;
  EXPECT_EQ(go_lines(known, true).front(), "no heap profile: profiling is not linked into this program");
  known.go->layout = events::GoLayout::kNone;
  known.go->layout_problem = "no layout for go1.99";
  known.go->totals.reset();
  EXPECT_EQ(go_lines(known, true).back(), "Go tables: no layout for go1.99");
  known.go.reset();
  EXPECT_TRUE(go_lines(known, true).empty());
}

TEST(GoText, TheScreenHasTheProfileAlone) {
  auto known = process(100, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(
      go_lines(known, false),
      (std::vector<std::string>{"RSS 400.0 MiB; heap profile 8.0 MiB; 392.0 MiB not in the heap profile"}));
}

TEST(GoText, NoGoal) {
  auto off = process(-1, std::numeric_limits<int64_t>::max());
  // ~0 as the runtime has it by GOGC alone; with GOMEMLIMIT=off it makes of it some EiB.
  for (const uint64_t goal : {~uint64_t{0}, uint64_t{8'900'000'000'000'000'000}}) {
    off.go->totals->goal_bytes = goal;
    EXPECT_EQ(go_lines(off, true).at(1),
              "Go heap: 6.0 MiB live after collection 3, no goal (GOGC=off), GOMEMLIMIT=none");
    EXPECT_TRUE(entry(off)["go"]["totals"]["/gc/heap/goal:bytes"].is_null());
  }
  off.go->totals->goal_bytes = 12 * kMiB;
  EXPECT_EQ(go_lines(off, true).at(1),
            "Go heap: 6.0 MiB live after collection 3, goal 12.0 MiB; GOGC=off, GOMEMLIMIT=none");
  EXPECT_EQ(entry(off)["go"]["totals"]["/gc/heap/goal:bytes"], 12 * kMiB);
  auto unread = process(100, std::numeric_limits<int64_t>::max());
  unread.go->totals->goal_bytes = 0;
  EXPECT_EQ(go_lines(unread, true).at(1),
            "Go heap: 6.0 MiB live after collection 3, goal unknown; GOGC=100, GOMEMLIMIT=none");
}

TEST(GoCoverage, HeapThatChangedWhileItWasRead) {
  auto told = [](std::optional<explain::GoHeapReading> reading) {
    explain::Explanation all;
    all.processes.push_back(process(100, 0));
    all.processes[0].coverage.go_heap = reading;
    return to_text(all, {.full = true});
  };
  const std::string sentence = "the heap changed while it was read";
  EXPECT_NE(
      told({{false, 52000, 3}}).find("  Go heap        " + sentence + ": 3 of 52,000 spans in motion\n"),
      std::string::npos)
      << told({{false, 52000, 3}});
  EXPECT_EQ(told({{true, 1000, 10}}).find(sentence), std::string::npos);
  EXPECT_NE(told({{true, 1000, 11}}).find(sentence), std::string::npos);
  EXPECT_EQ(told({}).find(sentence), std::string::npos);
  auto one = process(100, 0);
  EXPECT_TRUE(entry(one)["coverage"]["go_heap"].is_null());
  one.coverage.go_heap = {false, 52000, 3};
  EXPECT_EQ(entry(one)["coverage"]["go_heap"],
            (nlohmann::json{{"quiet", false}, {"spans", 52000}, {"spans_in_motion", 3}}));
}

TEST(GoText, Goroutines) {
  auto known = process(100, 0);
  known.goroutines = explain::GoroutineSummary{5, 1005, {}};
  explain::StackTable table(known.attribution);
  const uint32_t run = table.add_frame(frame("main.run", 4)), main = table.add_frame(frame("main.main", 9)),
                 serve = table.add_frame(frame("main.serve", 7));
  known.goroutines->groups.push_back({5, "chan send", run, main, 1, 320 * kMiB, 40 << 10});
  known.goroutines->groups.push_back({1000, "IO wait", serve, explain::kNoIndex, {}, {}, 8 * kMiB});
  Page page({});
  print_goroutines(page, known, {});
  EXPECT_EQ(page.take(),
            "Goroutines: 1,005. Largest first, by the memory that only they keep, and their\n"
            "stacks\n"
            "   count        kept      stacks  waits for\n"
            "       5   320.0 MiB    40.0 KiB  chan send at main.run (m.go:4), created at\n"
            "                                  main.main (m.go:9)\n"
            "    1000           ?     8.0 MiB  IO wait at main.serve (m.go:7)\n\n");
}

}  // namespace
}  // namespace memwhy::report
