// SPDX-License-Identifier: Apache-2.0
// Causes inside a Go heap, each with its healthy twin, and the ledger's lines that they rest on.
#include <algorithm>

#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

TEST(GoLedger, SpansBySlotsAndTheRestByPages) {
  auto e = four_times(
      "c000000+100 heap live=200K dead=100K free=100K, c000064+10 stack, c00006e+20 idle, c000082+5 "
      "released, "
      "c000087+3 work",
      "c000000+138, 20000+7", "in_use=400K live=200K goal=4M allocated=9M freed=8M gc=12");
  EXPECT_EQ(line(e, "go.heap.live")->bytes, 200u << 10);
  EXPECT_EQ(line(e, "go.heap.unmarked")->bytes, 100u << 10);
  EXPECT_EQ(line(e, "go.heap.fragmentation")->bytes, 100u << 10);
  EXPECT_EQ(pages(e, "go.stacks"), 10u);
  EXPECT_EQ(pages(e, "go.heap.idle"), 20u);
  EXPECT_EQ(pages(e, "go.heap.released_resident"), 5u);
  EXPECT_EQ(pages(e, "go.runtime.gc_work"), 3u);
  EXPECT_TRUE(line(e, "go.heap.live")->in_heap_profile);
  EXPECT_FALSE(line(e, "go.heap.unmarked")->in_heap_profile);
  EXPECT_FALSE(line(e, "go.heap.live")->ages_known);
  EXPECT_TRUE(line(e, "go.stacks")->ages_known);
  EXPECT_EQ(problems(e), 0u);
  const auto& process = e.processes[0];
  EXPECT_EQ(process.go->layout, events::GoLayout::kTable);
  ASSERT_TRUE(process.timeline.front().go);
  EXPECT_EQ(process.timeline.front().go->live_bytes, 200u << 10);
  EXPECT_EQ(process.timeline.front().go->gc_cycle, 12u);
}

TEST(GoLedger, AllocationSitesOfTheProfileNeverSayMoreThanTheLine) {
  std::string script = go_program("go1.26.8");
  script += "go-profile 1 rate=1: 1M published=30 current=40 0x401500 0x401300, 64K published=64 0x401800\n";
  script += moment(11, "c000000+8192 heap live=32M", "c000000+8192", "", "in_use=32M live=32M goal=64M");
  auto e = told(script);
  const std::vector<Entry> top = top_of(e, "go.heap.live");
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].bytes, 30u << 20);
  EXPECT_EQ(top[0].says, EntrySays::kAllocated);
  EXPECT_EQ(frames(e.processes[0], top[0].stack, FrameText::kShort).front(), "main.(*job).load (main.go:36)");
  EXPECT_EQ(top[1].bytes, 2u << 20);  // 4 MiB by the profile, 2 MiB left on the line
  EXPECT_EQ(e.processes[0].heap_profile_inuse_bytes, 34u << 20);
  EXPECT_EQ(e.processes[0].heap_profile_source, ProfileSource::kBuckets);
}

// Go before 1.24 does not tell the rate. At 1 byte each bucket holds all objects: taken for samples of one in 512 KiB they
// are far more than the heap.
TEST(GoLedger, AProfileLargerThanTheHeapHasAnotherRate) {
  auto with = [](const std::string& rate, int in_use) {
    return told(go_program("go1.22.12") + "go-profile 1 " + rate + ": 64 published=100 0x401500 0x401300\n" +
                moment(11, "c000000+256 heap live=400K dead=0 free=624K", "c000000+256", "",
                       fmt::format("in_use={}M live=400K goal=4M", in_use)));
  };
  auto e = with("assumed", 1);  // 50 MiB by the standard rate
  EXPECT_EQ(e.processes[0].heap_profile_source, ProfileSource::kBuckets);
  EXPECT_EQ(e.processes[0].heap_profile_inuse_bytes, std::nullopt);
  EXPECT_EQ(e.processes[0].heap_profile_rate, std::nullopt);
  ASSERT_EQ(top_of(e, "go.heap.live").size(), 1u);
  EXPECT_EQ(top_of(e, "go.heap.live")[0].bytes, 6400u);  // the samples themselves are in use
  e = with("assumed", 60);
  EXPECT_EQ(*e.processes[0].heap_profile_inuse_bytes >> 20, 50u);
  EXPECT_EQ(e.processes[0].heap_profile_rate, 512u << 10);
  EXPECT_TRUE(e.processes[0].heap_profile_rate_assumed);
  e = with("assumed", 32);  // samples make at most 48 MiB of it: 4 standard deviations of 4 MiB
  EXPECT_EQ(e.processes[0].heap_profile_inuse_bytes, std::nullopt);
  e = with("assumed", 36);
  EXPECT_EQ(*e.processes[0].heap_profile_inuse_bytes >> 20, 50u);
  e = with("rate=1 assumed", 1);
  EXPECT_EQ(e.processes[0].heap_profile_inuse_bytes, 6400u);
  e = with("", 1);  // told by the process itself: believed
  EXPECT_EQ(*e.processes[0].heap_profile_inuse_bytes >> 20, 50u);
  EXPECT_FALSE(e.processes[0].heap_profile_rate_assumed);
}

TEST(GoLedger, FirstTouchedWithoutAProfile) {
  std::string script = go_program("go1.26.8") + "go-profile 1 off\n";
  script += "@11 scan 1: 400+40 file\n@20 table 1: c000000+1000 s1 @19 w\n";
  script +=
      moment(21, "c000000+1000 heap live=1M dead=0 free=3072000", "c000000+1000", "", "in_use=4M live=1M");
  auto e = told(script);
  EXPECT_EQ(e.processes[0].heap_profile_source, ProfileSource::kOffInBinary);
  const std::vector<Entry> top = top_of(e, "go.heap.live");
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0].says, EntrySays::kFirstTouchedOfAllSpans);
  EXPECT_EQ(top[0].how, timeline::How::kFault);
  EXPECT_EQ(top[0].bytes, line(e, "go.heap.live")->bytes);
  EXPECT_EQ(line(e, "go.heap.live")->bytes, 1u << 20);
}

TEST(GoLedger, UnverifiedTablesAreNotUsed) {
  std::string script = go_program("go1.28.0");
  script +=
      "@11 go-statistics 1 in_use=32M\ngo-heap 1 unverified problem=\"no layout for go1.28\" in_use=32M\n";
  script += "scan 1: 400+40 file, c000000+8192\n";
  auto e = told(script);
  EXPECT_EQ(e.processes[0].go->layout, events::GoLayout::kUnverified);
  EXPECT_EQ(e.processes[0].go->layout_problem, "no layout for go1.28");
  EXPECT_EQ(e.processes[0].go->totals, std::nullopt);
  EXPECT_FALSE(e.processes[0].timeline.front().go);
  EXPECT_EQ(line(e, "go.heap.live"), nullptr);
}

TEST(GoLedger, TablesReadByDebugInformationAreUsed) {
  std::string script = go_program("go1.28.0") + moment(21, "c000000+1000 heap live=1M dead=0 free=3072000",
                                                       "c000000+1000", "", "in_use=4M live=1M");
  const std::string heap = "go-heap 1 ";
  ASSERT_NE(script.find(heap), std::string::npos);
  script.insert(script.find(heap) + heap.size(), "dwarf ");
  auto e = told(script);
  EXPECT_EQ(e.processes[0].go->layout, events::GoLayout::kDwarf);
  EXPECT_EQ(e.processes[0].go->layout_problem, "");
  ASSERT_TRUE(e.processes[0].go->totals);
  EXPECT_EQ(e.processes[0].go->totals->live_bytes, 1u << 20);
  ASSERT_NE(line(e, "go.heap.live"), nullptr);
  EXPECT_EQ(line(e, "go.heap.live")->bytes, 1u << 20);
}

TEST(GoCoverage, HowStillTheLastReadingWas) {
  auto with = [](const std::string& words) {
    return told(go_program("go1.26.8") + moment(11, "c000000+64 heap live=256K", "c000000+64") +
                "@21 go-heap 1 " + words + ": c000000+64 heap live=256K\nscan 1: c000000+64\n");
  };
  auto e = with("spans=400 in_motion=3");
  ASSERT_TRUE(e.processes[0].coverage.go_heap);
  EXPECT_FALSE(e.processes[0].coverage.go_heap->quiet);
  EXPECT_EQ(e.processes[0].coverage.go_heap->spans, 400u);
  EXPECT_EQ(e.processes[0].coverage.go_heap->spans_in_motion, 3u);
  EXPECT_TRUE(with("quiet spans=400").processes[0].coverage.go_heap->quiet);
  EXPECT_FALSE(with("unverified problem=none spans=400").processes[0].coverage.go_heap);
}

// `live[i]` MiB in use at scan i, with so many pages of each resident.
Explanation growing(const std::vector<int>& live, int collections, const std::string& calls = "",
                    int pages_each = 256) {
  std::string script = go_program("go1.26.8");
  int seconds = 11, gc = 5;
  for (const int mib : live) {
    script += moment(seconds, fmt::format("c000000+{} heap live={}M", mib * 256, mib),
                     fmt::format("c000000+{}", mib * pages_each), "",
                     fmt::format("in_use={0}M live={0}M goal={1}M gc={2}", mib, 2 * mib, gc));
    seconds += 10;
    gc += collections;
  }
  return told(script + calls);
}

// Without a heap profile the probe of large allocations says who made them, by the program's own code.
TEST(LiveHeapGrowth, NamesWhoAllocatedLargeObjects) {
  auto e = growing({40, 60, 80, 100}, 2,
                   "go-call 1 large_allocation 20M s2\ngo-call 1 large_allocation 40M s2\n"
                   "go-call 1 large_allocation 1M s1\ngo-call 1 large_allocation 500M lost\n");
  const Finding* found = finding(e, "live-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(std::count(found->evidence.begin(), found->evidence.end(),
                       "2 large objects, 60.0 MiB total, allocated at main.(*job).load (main.go:36) during "
                       "the recording"),
            1);
  EXPECT_EQ(std::count(found->evidence.begin(), found->evidence.end(),
                       "1 large object, 1.0 MiB total, allocated at main.(*job).load (main.go:38) during the "
                       "recording"),
            1);
}

TEST(LiveHeapGrowth, ThreeRisesOverCollections) {
  auto e = growing({40, 60, 80, 100}, 2);
  const Finding* found = finding(e, "live-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 100u << 20);
  EXPECT_EQ(found->recoverable_bytes, 60u << 20);
  const auto half = growing({40, 60, 80, 100}, 2, "", 128);
  EXPECT_EQ(finding(half, "live-heap-growth")->recoverable_bytes, 50u << 20) << "no more than is resident";
  EXPECT_EQ(found->evidence.at(0),
            "6 collections were seen; what they left in use rose by 60.0 MiB, from 40.0 MiB to 100.0 MiB");
  EXPECT_EQ(problems(growing({100, 100, 100, 100}, 2)), 0u);
  EXPECT_EQ(problems(growing({40, 100, 60, 100}, 2)), 0u);
  EXPECT_EQ(problems(growing({40, 60, 80, 100}, 0)), 0u);  // no collection: nothing new is known
  EXPECT_EQ(problems(growing({92, 94, 96, 98}, 2)), 0u);   // 6 MiB more
}

TEST(LiveHeapGrowth, TellsTheStepsAndWhoAllocatedThem) {
  auto e = growing({40, 60, 80, 100}, 2,
                   "@20 go-call 1 large_allocation 20M s2\n@30 go-call 1 large_allocation 20M s2\n");
  const Finding* found = finding(e, "live-heap-growth");
  ASSERT_NE(found, nullptr);
  // The last reading waits for a collection.
  EXPECT_EQ(found->evidence.at(1),
            "it rose in 2 steps: +20.0 MiB at 22:13:40 UTC, +20.0 MiB at 22:13:50 UTC; the large objects in "
            "2 of them "
            "were allocated at main.(*job).load (main.go:36)");
}

// 80 MiB of 100 were allocated since the last collection; four moments, `collections` between each two.
Explanation headroom(const std::string& setting, uint32_t collections, uint32_t first = 9) {
  std::string script = go_program("go1.26.8");
  for (uint32_t i = 0; i < 4; ++i)
    script +=
        moment(11 + 10 * static_cast<int>(i), "c000000+25600 heap live=20M dead=80M", "c000000+25600", "",
               fmt::format("in_use=100M {} goal=120M gc={} {}", first == 0 ? "" : "live=20M",
                           first + i * collections, setting));
  return told(script);
}

TEST(GcHeadroom, OnlyAPatientCollectorIsAProblem) {
  auto e = headroom("gogc=500", 1);
  const Finding* found = finding(e, "gc-headroom");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 80u << 20);
  EXPECT_EQ(found->claim,
            "Objects allocated since the last collection hold 80.0 MiB (80 %) of app's memory: with GOGC=500 "
            "the heap "
            "may grow to 120.0 MiB before the next.");
  EXPECT_EQ(*found->recoverable_bytes / (1 << 20), 60u);  // GOGC=100 leaves 20 MiB beside the 20 in use
  EXPECT_EQ(found->confidence, Confidence::kMedium);
  EXPECT_EQ(finding(headroom("gogc=off", 1), "gc-headroom")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(headroom("", 1), "gc-headroom")->kind, FindingKind::kExplains);
  EXPECT_EQ(problems(headroom("gogc=off limit=200M", 1)), 0u);
}

// A data set that is all in use looks the same until a collection has looked at it: no byte of it is promised.
TEST(GcHeadroom, NothingIsPromisedWhereNoCollectionTold) {
  auto e = headroom("gogc=off", 0, 0);
  const Finding* found = finding(e, "gc-headroom");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->confidence, Confidence::kLow);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_EQ(
      found->claim,
      "Objects that no collection has looked at yet hold 80.0 MiB (80 %) of app's memory: the collector "
      "is off (GOGC=off).");
  EXPECT_EQ(found->evidence.at(0), "no collection has ended yet; GOGC=off, GOMEMLIMIT=none");
  EXPECT_EQ(found->remedy,
            "Let the collector run (GOGC=100), or give it a GOMEMLIMIT above what is in use: one collection "
            "(runtime.GC()) tells how much that is. Either costs CPU.");
  EXPECT_EQ(found->against.at(0), "all of it may be in use: only the next collection will show");
  e = headroom("gogc=off", 0);  // collected nine times, long ago
  EXPECT_EQ(finding(e, "gc-headroom")->recoverable_bytes, std::nullopt);
  EXPECT_EQ(finding(e, "gc-headroom")->confidence, Confidence::kLow);
  e = headroom("gogc=500", 0);  // on, and none while memwhy watched
  EXPECT_EQ(finding(e, "gc-headroom")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "gc-headroom")->recoverable_bytes, std::nullopt);
  EXPECT_EQ(finding(e, "gc-headroom")->confidence, Confidence::kLow);
  EXPECT_EQ(finding(e, "gc-headroom")->remedy.find("MiB"), std::string::npos);
  e = headroom("", 0);
  EXPECT_EQ(finding(e, "gc-headroom")->remedy, "None needed.");
  EXPECT_EQ(finding(e, "gc-headroom")->recoverable_bytes, std::nullopt);
  EXPECT_EQ(finding(e, "gc-headroom")->confidence, Confidence::kMedium);
}

TEST(IdleHeap, WhatStaysAboveTheGoal) {
  auto with = [](int goal) {
    return four_times("c000000+2560 heap live=10M, c000a00+25600 idle", "c000000+28160",
                      fmt::format("in_use=10M free=100M live=10M goal={}M", goal));
  };
  auto e = with(20);
  const Finding* found = finding(e, "idle-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 100u << 20);
  EXPECT_EQ(found->recoverable_bytes, 100u << 20);
  EXPECT_NE(found->remedy.find("debug.FreeOSMemory()"), std::string::npos);
  EXPECT_EQ(problems(with(100)), 0u);  // room that the next cycle will fill
  e = with(0);
  found = finding(e, "idle-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
}

// madvise() does not drop what is locked, so that FreeOSMemory() returns nothing.
TEST(IdleHeap, OfWhatIsLockedNothingComesBack) {
  std::string script = go_program("go1.26.8");
  for (const int at : {11, 21, 31, 41})
    script += moment(at, "c000000+2560 heap live=10M, c000a00+25600 idle", "c000000+28160", "",
                     "in_use=10M free=100M live=10M goal=20M");
  const auto e = told(script + "@42 counters 1 locked=1G\n");
  const Finding* found = finding(e, "idle-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_EQ(found->headline,
            "100.0 MiB (91 %) are free inside the Go heap, and stay resident: they are locked (mlockall)");
  EXPECT_EQ(found->remedy.find("debug.FreeOSMemory()"), std::string::npos);
  EXPECT_NE(found->remedy.find("locks its memory (mlockall)"), std::string::npos);
  EXPECT_NE(finding(told(script + "@42 counters 1 locked=64M\n"), "idle-heap")->recoverable_bytes,
            std::nullopt)
      << "a part of it";
}

// Without a goal nothing is above it; the number that stands for none is no size.
TEST(IdleHeap, WithoutAGoal) {
  auto e = four_times("c000000+2560 heap live=10M, c000a00+25600 idle", "c000000+28160",
                      "in_use=10M free=100M live=10M goal=18446744073709551615 gogc=off");
  const Finding* found = finding(e, "idle-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->evidence.at(0),
            "the heap has 10.0 MiB in use and 100.0 MiB free; the collector has no goal for the heap "
            "(GOGC=off)");
  EXPECT_EQ(found->remedy,
            "debug.FreeOSMemory() gives it back at once, if the program does not need it again.");
  ASSERT_TRUE(e.processes[0].timeline.front().go);
  EXPECT_EQ(e.processes[0].timeline.front().go->goal_bytes, std::nullopt);
}

// `pages[i]` released and resident at scan i; `between`: after the first scan.
Explanation released(const std::vector<int>& counts, const std::string& between = "",
                     const std::string& words = "") {
  std::string script = go_program("go1.26.8");
  for (size_t i = 0; i < counts.size(); ++i) {
    script += moment(11 + 10 * static_cast<int>(i),
                     fmt::format("c000000+2560 heap live=10M, c000a00+{} released", counts[i]),
                     fmt::format("c000000+2560, c000a00+{}{}", counts[i], words), "",
                     "in_use=10M released=100M live=10M goal=20M");
    if (i == 0) script += between;
  }
  return told(script);
}

TEST(LazyFree, ReleasedAndStillResident) {
  auto e = released({10000, 10000, 10000, 10000}, "@15 advise 1 c000a00+10000 free\n");
  const Finding* found = finding(e, "lazy-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  EXPECT_EQ(found->bytes, 10000 * kPageBytes);
  EXPECT_NE(found->claim.find("they were freed lazily (MADV_FREE)"), std::string::npos);
  EXPECT_EQ(found->remedy, "GODEBUG=madvdontneed=1 gives memory back at once; RSS then says what is used.");
  EXPECT_EQ(found->evidence.at(1), "never less than 39.1 MiB in 4 scans");
  EXPECT_EQ(finding(released({4000, 4000, 4000, 4000}), "lazy-free"), nullptr);
}

TEST(HugeHeap, WhatGoGaveBackAndHugePagesCover) {
  const auto e = released({10240, 10240}, "", " huge");
  EXPECT_EQ(finding(e, "lazy-free"), nullptr);
  const Finding* found = finding(e, "huge-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 10240 * kPageBytes);
  EXPECT_EQ(found->recoverable_bytes, 10240 * kPageBytes);
}

// 10 MiB in huge pages are too little for huge-heap, and half of the 20 MiB that were given back: one of the two speaks.
TEST(HugeHeap, WhatItDoesNotSpeakOfLazyFreeDoes) {
  std::string script = go_program("go1.26.8");
  for (const int at : {11, 21})
    script += moment(at, "c000000+2560 heap live=10M, c000a00+5120 released",
                     "c000000+2560, c000a00+2560 huge, c001400+2560", "",
                     "in_use=10M released=20M live=10M goal=20M");
  const auto e = told(script);
  EXPECT_EQ(line(e, "go.heap.released_resident")->huge_bytes, 10u << 20);
  EXPECT_EQ(finding(e, "huge-heap"), nullptr);
  ASSERT_NE(finding(e, "lazy-free"), nullptr);
  EXPECT_EQ(finding(e, "lazy-free")->bytes, 20u << 20);
  EXPECT_TRUE(finding(e, "lazy-free")->claim.ends_with("huge pages cover most of it."));
}

// A program with stacks that waste more: both are said.
TEST(HugeHeap, BesideStacks) {
  std::string threads = "threads 1", vmas, scan;
  for (int i = 1; i <= 8; ++i) {
    const uint64_t end = 0x7f0000 + 0x1000 * static_cast<uint64_t>(i);
    threads += fmt::format(" {}:{:#x}:{:#x}", i, (end << 12) - 8192, (end << 12) - 2304);
    vmas += fmt::format("  {:x}+1 ---p\n  {:x}+2048 rw-p\n", end - 2049, end - 2048);
    scan += fmt::format(", {:x}+2048 huge", end - 2048);
  }
  std::string script = go_program("go1.26.8 cgo");
  script.insert(script.rfind("  c000000"), vmas);
  script.insert(script.rfind("vmas 1"), threads + "\n");
  for (const int at : {11, 21})
    script +=
        moment(at, "c000000+2560 heap live=10M, c000a00+7680 released",
               "c000000+2560, c000a00+7680 huge" + scan, "", "in_use=10M released=30M live=10M goal=20M");
  const auto e = told(script);
  ASSERT_NE(finding(e, "huge-pages"), nullptr);
  EXPECT_EQ(finding(e, "huge-pages")->bytes, 64u << 20);
  ASSERT_NE(finding(e, "huge-heap"), nullptr);
  EXPECT_EQ(finding(e, "huge-heap")->bytes, 30u << 20);
}

TEST(LazyFree, WhatWasNotSeenIsNotSaid) {
  auto e = released({10000, 10000, 10000, 10000});
  const Finding* found = finding(e, "lazy-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->confidence, Confidence::kLow);
  EXPECT_TRUE(found->claim.ends_with("are still resident: the reason was not seen.")) << found->claim;
  EXPECT_EQ(found->remedy,
            "If the program runs with GODEBUG=madvdontneed=0: GODEBUG=madvdontneed=1 gives memory back at "
            "once; RSS then says what is used.");
}

TEST(LazyFree, WhatIsLockedWasNotTaken) {
  std::string script = go_program("go1.26.8");
  for (const int at : {11, 21, 31, 41})
    script += moment(at, "c000000+2560 heap live=10M, c000a00+10000 released", "c000000+12560", "",
                     "in_use=10M released=100M live=10M goal=20M");
  const auto e = told(script + "@42 counters 1 locked=1G\n");
  const Finding* found = finding(e, "lazy-free");
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(found->claim.ends_with("are still resident: they are locked (mlockall).")) << found->claim;
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_EQ(found->remedy.find("madvdontneed"), std::string::npos);
}

TEST(LazyFree, WhatWasGivenBackMeanwhileAndStaysIsAProblem) {
  auto e = released({100, 10000, 10000, 9000}, "@15 advise 1 c000a00+10000 free\n");
  EXPECT_EQ(finding(e, "lazy-free")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "lazy-free")->evidence.at(1), "never less than 35.2 MiB in 3 scans");
}

// Spans that are given back, or used again, while they are read.
TEST(LazyFree, AMomentIsNoProblem) {
  for (const auto& counts :
       {std::vector<int>{10000}, {100, 10000}, {100, 100, 10000, 9000}, {10000, 10000, 100, 10000}}) {
    auto e = released(counts);
    ASSERT_NE(finding(e, "lazy-free"), nullptr);
    EXPECT_EQ(finding(e, "lazy-free")->kind, FindingKind::kExplains);
    EXPECT_EQ(finding(e, "lazy-free")->against.at(0),
              "may be transient: the runtime may just have given them back");
  }
}

TEST(Fragmentation, WithoutAGoal) {
  auto e = four_times("c000000+25600 heap live=20M dead=5M free=75M", "c000000+25600",
                      "in_use=100M live=20M goal=18446744073709551615 gogc=off");
  ASSERT_NE(finding(e, "fragmentation"), nullptr);
  EXPECT_EQ(finding(e, "fragmentation")->kind, FindingKind::kExplains);
  EXPECT_EQ(finding(e, "fragmentation")->evidence.at(0),
            "spans in use take 100.0 MiB, the collector has no goal for the heap (GOGC=off)");
}

TEST(Fragmentation, SpansInUseBeyondTheGoal) {
  auto with = [](int goal) {
    return four_times("c000000+25600 heap live=20M dead=5M free=75M", "c000000+25600",
                      fmt::format("in_use=100M live=20M goal={}M", goal));
  };
  auto e = with(40);
  ASSERT_NE(finding(e, "fragmentation"), nullptr);
  EXPECT_EQ(finding(e, "fragmentation")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "fragmentation")->bytes, 75u << 20);
  EXPECT_EQ(finding(e, "fragmentation")->recoverable_bytes, std::nullopt)
      << "a peak made otherwise leaves less yet";
  EXPECT_EQ(problems(with(100)), 0u);
  e = with(0);
  EXPECT_EQ(problems(e), 0u);
}

TEST(UntouchedLargeAllocation, ExplainsOnly) {
  auto e = four_times("c000000+131072 heap live=10M", "c000000+2560", "in_use=512M live=10M goal=1G");
  ASSERT_NE(finding(e, "untouched-large-allocation"), nullptr);
  EXPECT_EQ(finding(e, "untouched-large-allocation")->kind, FindingKind::kExplains);
  EXPECT_EQ(finding(e, "untouched-large-allocation")->claim,
            "502.0 MiB of app's Go heap are in use and not resident: 512.0 MiB counted, 10.0 MiB resident.");
  EXPECT_EQ(problems(e), 0u);
}

}  // namespace
}  // namespace memwhy::explain
