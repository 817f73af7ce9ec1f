// SPDX-License-Identifier: Apache-2.0
// Causes of a Go program that no heap profile shows: queues and buffers of its runtime, mappings of its own.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr const char* kQuietHeap = "c000000+512 heap live=2M";
constexpr const char* kSmall = "in_use=2M live=2M allocated=3M metadata=1M";

// Frames of a finalizer that waits in main.serve, and of the idle goroutine.
const std::string kFinalizerNames = R"(
symbol 1 0x402000 ret binary=b1 runtime.runfinq@/go/src/runtime/mfinal.go:255
symbol 1 0x402100 ret binary=b1 runtime.createfing@/go/src/runtime/mfinal.go:166
symbol 1 0x402200 ret binary=b1 runtime/trace.Start.func1@/go/src/runtime/trace/trace.go:130
)";

Explanation twice(const std::string& goroutines, const std::string& counters, const std::string& pages,
                  const std::string& build = "go1.24.9", const std::string& heap = kQuietHeap) {
  std::string script = go_program(build) + kFinalizerNames;
  for (const int at : {11, 31}) script += moment(at, heap, pages, goroutines, counters);
  return told(script);
}

TEST(TraceBuffers, OtherMemoryOfTheRuntimeIsNoTable) {
  const std::string counters = std::string(kSmall) + " other=40M";
  const auto e = twice(": 1 \"\" by=0x402200 0x401000 0x402200", counters, "20000+10240, c000000+512");
  const Finding* found = finding(e, "trace-buffers");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 40 * kMiB);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  EXPECT_EQ(finding(e, "metadata-after-peak"), nullptr);
  // No trace is taken: buffers that are left over, or records of sockets. A guess is no problem.
  const auto without = twice("", counters, "20000+10240, c000000+512");
  found = finding(without, "trace-buffers");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->confidence, Confidence::kLow);
  EXPECT_NE(found->claim.find("sockets"), std::string::npos) << found->claim;
  EXPECT_EQ(problems(without), 0u);
}

// Attached after the trace began, its buffers are anonymous memory that grows: one problem, not two.
TEST(TraceBuffers, TheirGrowthIsNoOthers) {
  const auto growing = [](bool tracing) {
    std::string script = go_program("go1.24.9") + kFinalizerNames;
    for (int i = 0; i < 5; ++i)
      script += moment(11 + 10 * i, kQuietHeap, fmt::format("20000+{}, c000000+512", 4000 + 2500 * i),
                       tracing ? ": 1 \"\" by=0x402200 0x401000 0x402200" : "",
                       fmt::format("{} other={}", kSmall, tracing ? (4000 + 2500 * i) * kPageBytes : 4096)) +
                (i == 4 ? ""
                        : fmt::format("@{} table 1: {:x}+2500 s1 @{} w\n", 12 + 10 * i,
                                      0x20000 + 4000 + 2500 * i, 12 + 10 * i));
    return told(script);
  };
  EXPECT_NE(finding(growing(false), "anon-growth"), nullptr);
  const auto e = growing(true);
  EXPECT_EQ(finding(e, "anon-growth"), nullptr);
  EXPECT_EQ(e.processes[0].findings.front().id, "trace-buffers");
  EXPECT_EQ(problems(e), 1u);
}

TEST(TraceBuffers, SilentForTables) {
  const auto e = twice("", "in_use=2M live=2M metadata=40M other=1M", "20000+10240, c000000+512");
  EXPECT_EQ(finding(e, "trace-buffers"), nullptr);
}

const std::string kBlocked = ": 1 \"chan receive\" by=0x402100 since=2 0x401000 0x401800 0x402000 0x401300";

TEST(FinalizerQueue, WhatWaitsBehindABlockedOne) {
  const auto e = twice(" finalizers=201:48M:402" + kBlocked, "in_use=60M live=50M allocated=60M gc=3",
                       "c000000+16384", "go1.24.9", "c000000+16384 heap live=60M free=4M");
  const Finding* found = finding(e, "finalizer-queue");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 48 * kMiB);
  EXPECT_EQ(figure(*found, "waiting"), 201);
  EXPECT_NE(found->claim.find("waits in main.serve (main.go:90)"), std::string::npos) << found->claim;
}

TEST(FinalizerQueue, SilentForTheIdleGoroutine) {
  const auto e =
      twice(": 1 \"finalizer wait\" by=0x402100 since=2 0x401000 0x402000 0x401300", kSmall, "c000000+512");
  EXPECT_EQ(finding(e, "finalizer-queue"), nullptr);
  // One that waits for a moment, and keeps nothing.
  const auto brief = twice(
      " finalizers=1:1K:1: 1 \"chan receive\" by=0x402100 since=30.9 0x401000 0x401800 0x402000 0x401300",
      kSmall, "c000000+512");
  EXPECT_EQ(finding(brief, "finalizer-queue"), nullptr);
}

const std::string kHeldHeap = "c000000+16384 heap live=64M";

Explanation held(const std::string& items) {
  return twice(" held=64M:1000" + items, "in_use=64M live=64M allocated=64M gc=3", "c000000+16384",
               "go1.26.8", kHeldHeap);
}

TEST(HeldHeap, TheVariableThatKeepsMost) {
  const auto e = held(
      "\n variable name=main.cache at=0x5b0000 bytes=50M objects=101 resident=48M size=512K:96 size=4K:5"
      " large=0xc000000000:512K@0x401500\n variable name=main.log at=0x5b0008 bytes=9M objects=9 "
      "resident=8M\n");
  const Finding* found = finding(e, "held-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 48 * kMiB);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  EXPECT_NE(found->claim.find("hang from the variable main.cache alone."), std::string::npos) << found->claim;
  EXPECT_EQ(figure(*found, "objects"), 101);
  const auto says = [&](const char* words) {
    return std::any_of(found->evidence.begin(), found->evidence.end(),
                       [&](const std::string& each) { return each.find(words) != std::string::npos; });
  };
  EXPECT_TRUE(says("96 of 512.0 KiB, 5 of 4.0 KiB"));
  EXPECT_TRUE(says("8.0 MiB hang from the variable main.log"));
  EXPECT_TRUE(says("allocated at main.(*job).load (main.go:36)"));
  EXPECT_EQ(finding(e, "largest-owner"), nullptr);
}

// Without a sample or a probe, page faults show which function filled the heap, if it filled most of it.
TEST(HeldHeap, WhoFilledItIsSeenByPageFaults) {
  const auto touched = [](int pages) {
    const std::string held = " held=64M:1000\n variable name=main.found bytes=60M objects=9 resident=60M\n",
                      counters = "in_use=64M live=64M allocated=64M gc=3";
    const auto e = told(go_program("go1.26.8") + moment(11, "", "c000000+1", "", counters) +
                        fmt::format("@20 table 1: c000001+{} s1 @15 w\n", pages) +
                        moment(31, kHeldHeap, "c000000+16384", held, counters));
    const Finding* found = finding(e, "held-heap");
    return found == nullptr ? std::string("none") : found->evidence.back();
  };
  EXPECT_EQ(touched(16000),
            "go.heap.live: 62.5 MiB of it was first touched by main.(*job).load (main.go:38)");
  EXPECT_EQ(touched(4000).find("first touched"), std::string::npos);
}

// A walk that ended early knows what is reached, not that nobody else does.
TEST(HeldHeap, AnUnfinishedWalkSaysSo) {
  const auto e = held(" cut\n variable at=0x5b0000 bytes=48M objects=5 resident=48M\n");
  const Finding* found = finding(e, "held-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_NE(found->claim.find("hang from a variable without a name at 0x5b0000."), std::string::npos)
      << found->claim;
  EXPECT_EQ(found->confidence, Confidence::kMedium);
  EXPECT_FALSE(found->against.empty());
  const auto used = held(" cut\n variable used_by=main.scan at=0x5b0000 bytes=48M objects=5 resident=48M\n");
  EXPECT_NE(finding(used, "held-heap")->claim.find("hang from the variable at 0x5b0000 (used by main.scan)."),
            std::string::npos);
}

TEST(HeldHeap, AnEmptyMapAndPinnedTexts) {
  const auto map =
      held("\n variable name=main.sessions bytes=48M objects=5 resident=48M slots=1024 entries=0\n");
  EXPECT_NE(finding(map, "held-heap")->claim.find("main.sessions alone, a map of 0 entries in 1024 slots."),
            std::string::npos);
  for (const uint64_t entries : {uint64_t{800}, uint64_t{1} << 62}) {
    const auto full = held(fmt::format(
        "\n variable name=main.sessions bytes=48M objects=5 resident=48M slots=1024 entries={}\n", entries));
    EXPECT_EQ(finding(full, "held-heap")->claim.find("slots"), std::string::npos) << entries;
  }
  const auto texts = held(
      "\n variable name=main.matches bytes=48M objects=193 resident=48M pinned=192 pinned_bytes=48M "
      "used=4K\n");
  EXPECT_EQ(figure(*finding(texts, "held-heap"), "pinned_objects"), 192);
  EXPECT_EQ(figure(*finding(texts, "held-heap"), "used_bytes"), 4096);
}

TEST(HeldHeap, OfSeveralTheNearest) {
  const auto e = held(
      "\n variable name=main.one bytes=1K objects=1 resident=1K also=48M\n"
      " holders n=1 by=0x401400 bytes=2M objects=1 resident=2M 0x401000 0x401800 0x401300\n");
  const Finding* found = finding(e, "held-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_NE(found->claim.find("are reached from the variable main.one, which is nearest, and from others."),
            std::string::npos)
      << found->claim;
}

TEST(HeldHeap, AGoroutine) {
  const auto e =
      held("\n holders n=1 by=0x401400 bytes=48M objects=1 resident=48M 0x401000 0x401800 0x401300\n");
  EXPECT_NE(finding(e, "held-heap")
                ->claim.find("from a goroutine in main.serve (main.go:90) (started at "
                             "main.runJob (main.go:43)) alone."),
            std::string::npos)
      << finding(e, "held-heap")->claim;
}

// What lies in a pool is held by nobody else: another sentence than that of a variable.
TEST(PoolRetention, WhatLiesInASyncPool) {
  const auto e =
      held("\n variable name=main.buffers bytes=48M objects=96 resident=48M size=512K:96 pool=8\n");
  const Finding* found = finding(e, "pool-retention");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 48 * kMiB);
  EXPECT_NE(found->claim.find("lie in a sync.Pool, the variable main.buffers: nothing else refers to them."),
            std::string::npos)
      << found->claim;
  EXPECT_EQ(figure(*found, "pool_lists"), 8);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  const size_t against = found->against.size();
  const auto stripped = held("\n variable at=0x5b0000 bytes=48M objects=96 resident=48M pool=8\n");
  found = finding(stripped, "pool-retention");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->confidence, Confidence::kMedium) << "the size of the variable is not known";
  EXPECT_EQ(found->against.size(), against + 1);
  EXPECT_EQ(finding(e, "held-heap"), nullptr);
  EXPECT_EQ(finding(held("\n variable name=main.buffers bytes=8M objects=9 resident=8M pool=8\n"),
                    "pool-retention"),
            nullptr);
  EXPECT_EQ(finding(held("\n variable name=main.list bytes=48M objects=9 resident=48M\n"), "pool-retention"),
            nullptr);
}

TEST(HeldHeap, SilentWhereNothingHoldsMuch) {
  EXPECT_EQ(finding(held("\n variable name=main.one bytes=8M objects=1 resident=8M\n"), "held-heap"),
            nullptr);
  EXPECT_EQ(finding(twice("", kSmall, "c000000+512"), "held-heap"), nullptr);
}

TEST(OwnMappings, NamedByTheModulesThatAreLinked) {
  const auto e = twice("", kSmall, "20000+10240, c000000+512", "go1.26.8 module=modernc.org/memory");
  const Finding* found = finding(e, "own-mappings");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 10240 * kPageBytes - kMiB);  // the runtime's tables may be among them
  EXPECT_NE(found->headline.find("it links modernc.org/memory"), std::string::npos) << found->headline;
  EXPECT_EQ(found->confidence, Confidence::kHigh);
}

// The kernel made one mapping of the program's and of one with the runtime's tables.
TEST(OwnMappings, BesideTablesOfTheRuntime) {
  const auto e =
      told(go_program("go1.26.8") + fmt::format("@11 go-heap 1 quiet {} tables=0x20000000: {}\n"
                                                "@11 scan 1: 400+40 file, 20000+10240, c000000+512\n",
                                                kSmall, kQuietHeap));
  ASSERT_EQ(pages(e, "go.runtime.metadata"), 10240u);
  ASSERT_NE(finding(e, "own-mappings"), nullptr);
  EXPECT_EQ(finding(e, "own-mappings")->bytes, 10240 * kPageBytes - kMiB);
  EXPECT_EQ(finding(e, "largest-owner"), nullptr);
}

// mlockall() makes tables of the runtime resident that it has reserved and does not count yet.
TEST(OwnMappings, NotTheRuntimesTablesWhereAllIsLocked) {
  const auto e = told(go_program("go1.26.8") +
                      fmt::format("@11 counters 1 locked=1G\n@11 go-heap 1 quiet {} tables=0x20000000: {}\n"
                                  "@11 scan 1: 400+40 file, 20000+10240, c000000+512\n",
                                  kSmall, kQuietHeap));
  ASSERT_EQ(pages(e, "go.runtime.metadata"), 10240u);
  EXPECT_EQ(finding(e, "own-mappings"), nullptr);
}

TEST(OwnMappings, SilentWhereTheRuntimeCountsThemOrCMayHaveMadeThem) {
  EXPECT_EQ(finding(twice("", "in_use=2M live=2M metadata=39M", "20000+10240, c000000+512"), "own-mappings"),
            nullptr);
  EXPECT_EQ(finding(twice("", kSmall, "20000+10240, c000000+512", "go1.26.8 cgo"), "own-mappings"), nullptr);
  const auto other = twice("", kSmall, "20000+10240, c000000+512", "go1.26.8 module=modernc.org/memoryhole");
  EXPECT_EQ(finding(other, "own-mappings")->confidence, Confidence::kMedium);
}

// Twice as many collections as freed anything: what is allocated stays.
TEST(GcHeadroom, PromisesNoMoreThanCollectionsFreed) {
  const auto with = [](const std::string& freed) {
    std::string script = go_program("go1.26.8");
    const std::string heap = "c000000+32768 heap live=70M dead=50M", pages = "c000000+32768";
    script += moment(11, heap, pages, "", "in_use=120M live=60M goal=140M allocated=100M gc=3");
    script +=
        moment(31, heap, pages, "", "in_use=120M live=70M goal=140M allocated=300M gc=7 freed=" + freed);
    return told(script);
  };
  const auto kept = with("10M");
  ASSERT_NE(finding(kept, "gc-headroom"), nullptr);
  EXPECT_EQ(finding(kept, "gc-headroom")->recoverable_bytes, std::nullopt);
  EXPECT_EQ(figure(*finding(kept, "gc-headroom"), "freed_bytes"), 10 * kMiB);
  // What came after the last collection, 50 MiB, was judged by none.
  EXPECT_EQ(figure(*finding(kept, "gc-headroom"), "allocated_bytes"), 150 * kMiB);
  EXPECT_NE(finding(with("80M"), "gc-headroom")->recoverable_bytes, std::nullopt) << "half of 150 MiB";
  const auto churn = with("190M");
  EXPECT_NE(finding(churn, "gc-headroom")->recoverable_bytes, std::nullopt);
}

// One collection during the recording, and what it found dead may not be swept yet: that it frees little is not said.
TEST(GcHeadroom, OneCollectionJudgesNoProgram) {
  std::string script = go_program("go1.26.8");
  const std::string heap = "c000000+32768 heap live=70M dead=50M", pages = "c000000+32768";
  script += moment(11, heap, pages, "", "in_use=120M live=60M goal=140M allocated=100M gc=3");
  script += moment(31, heap, pages, "", "in_use=120M live=70M goal=140M allocated=300M gc=4 freed=10M");
  const auto e = told(script);
  ASSERT_NE(finding(e, "gc-headroom"), nullptr);
  EXPECT_EQ(finding(e, "gc-headroom")->remedy.find("free little"), std::string::npos);
  EXPECT_NE(finding(e, "gc-headroom")->confidence, Confidence::kHigh);
}

// 300 MiB that no page was touched of came after the last collection.
TEST(GcHeadroom, WhatIsNotTouchedWasNotJudgedEither) {
  std::string script = go_program("go1.26.8");
  const std::string heap = "c000000+32768 heap live=70M dead=50M", pages = "c000000+32768";
  script += moment(11, heap, pages, "", "in_use=120M live=60M goal=140M allocated=100M gc=3");
  script += moment(31, heap, pages, "", "in_use=120M live=70M goal=140M allocated=300M gc=7 freed=120M");
  script += moment(41, heap, pages, "", "in_use=420M live=70M goal=140M allocated=600M gc=7 freed=120M");
  EXPECT_NE(finding(told(script), "gc-headroom")->recoverable_bytes, std::nullopt);
}

}  // namespace
}  // namespace memwhy::explain
