// SPDX-License-Identifier: Apache-2.0
// goroutine-leak: the story of the hourly job, its variants, and the healthy programs that look like it.
#include <algorithm>

#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kJob = uint64_t{64} << 20;
constexpr int kJobPages = 16384;

// `jobs[i]` goroutines at scan i, 10 s apart, each blocked with a buffer of 64 MiB. `extra`: words of the group.
std::string hourly_job(const std::vector<int>& jobs, const std::string& reason, const std::string& extra,
                       const std::string& walk = "", const std::string& frames = kSendFrames,
                       bool sampled = true) {
  std::string script = go_program("go1.26.8");
  for (size_t i = 0; i < jobs.size(); ++i) {
    const int n = jobs[i];
    std::string group = fmt::format("{}: {} \"{}\" by=0x401400 stack={} {} kept={} objects={}", walk, n,
                                    reason, 8192 * n, extra, kJob * n, 2 * n);
    for (int k = 0; k < n; ++k)
      group += fmt::format(" large={:#x}:{}{}", 0xc000000000 + kJob * k, kJob, sampled ? "@0x401500" : "");
    group += " " + frames;
    group += ", 4 \"GC worker (idle)\" by=0x401a00 stack=32768 0x401000 0x401900 0x401300";
    script +=
        moment(11 + 10 * static_cast<int>(i), fmt::format("c000000+{} heap live={}", n * kJobPages, n * kJob),
               fmt::format("c000000+{}", n * kJobPages), group,
               fmt::format("in_use={} live={} goal={} gc={}", n * kJob, n * kJob, 2 * n * kJob, 5 + i));
  }
  return script;
}

TEST(GoroutineLeak, TheHourlyJob) {
  auto e = told(hourly_job({2, 3, 4, 5}, "chan send", "since=9"));
  const Finding* found = finding(e, "goroutine-leak");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(
      found->claim,
      "5 goroutines blocked in chan send at main.runJob.func1.1 (main.go:47) keep 320.0 MiB: 64.0 MiB each, "
      "allocated at main.(*job).load (main.go:36), created at main.runJob (main.go:43), the longest "
      "waiting at least since 22:13:29 UTC.");
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  EXPECT_EQ(found->bytes, 5 * kJob);  // no stack was resident
  EXPECT_EQ(found->recoverable_bytes, 5 * kJob);
  EXPECT_DOUBLE_EQ(*found->growth_bytes_per_s, (kJob + 8192) / 10.0);
  EXPECT_EQ(&e.processes[0].findings.front(), found);
  EXPECT_EQ(problems(e), 1u);
  EXPECT_EQ(finding(e, "largest-owner"), nullptr);  // the cause says more
  EXPECT_EQ(finding(e, "live-heap-growth"), nullptr);
  ASSERT_GE(found->evidence.size(), 4u);
  EXPECT_EQ(found->evidence[0],
            "10 objects are reachable from the stacks of these goroutines, and from no global variable and "
            "no other "
            "goroutine");
  EXPECT_EQ(found->evidence[1],
            "where they were allocated is known from the heap profile's samples of 5 of 5 large objects");
  EXPECT_EQ(
      found->evidence[2],
      "4 readings, the last at 22:14:01 UTC: 2, 3, 4, 5 goroutines of this kind, 128.0 MiB then 320.0 MiB");
  EXPECT_EQ(
      found->evidence[3],
      "the heap rose in 3 steps of about that size: +64.0 MiB by 22:13:41 UTC, +64.0 MiB by 22:13:51 UTC, "
      "+64.0 MiB by 22:14:01 UTC");
  EXPECT_NE(found->remedy.find("GOEXPERIMENT=goroutineleakprofile"), std::string::npos);
}

TEST(GoroutineLeak, HoldsWithoutGrowth) {
  auto e = told(hourly_job({5, 5}, "chan send", "since=9"));
  const Finding* found = finding(e, "goroutine-leak");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->confidence, Confidence::kMedium);
  EXPECT_EQ(found->against.at(0), "growth needs four readings; there are 2");
  EXPECT_EQ(found->bytes, 5 * kJob);
  EXPECT_EQ(figure(*found, "goroutines"), 5);
  EXPECT_EQ(figure(*found, "kept_bytes_each"), static_cast<double>(kJob));
  EXPECT_EQ(figure(*found, "leaked"), -1) << "nothing said so";
}

// A time near the end of all times plus ten seconds is an early one.
TEST(GoroutineLeak, AWaitThatBeginsLaterHasNotLasted) {
  EXPECT_EQ(finding(told(hourly_job({5, 5}, "chan send", "since=18446744073")), "goroutine-leak")->kind,
            FindingKind::kExplains);
}

TEST(GoroutineLeak, WalkCutShortIsLowConfidence) {
  auto e = told(hourly_job({5, 5}, "chan send", "since=9", " incomplete"));
  EXPECT_EQ(finding(e, "goroutine-leak")->confidence, Confidence::kLow);
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find(" reach 320.0 MiB: 64.0 MiB each"), std::string::npos);
  EXPECT_EQ(e.processes[0].goroutines->groups[0].kept_bytes, std::nullopt);
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find("(main.go:47) reach 320.0 MiB:"), std::string::npos);
  EXPECT_EQ(finding(e, "goroutine-leak")->recoverable_bytes, std::nullopt);  // others may reach it too
  e = told(hourly_job({1, 1}, "chan send", "since=9", " incomplete"));
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find("(main.go:47) reaches 64.0 MiB,"), std::string::npos);
}

// Half of each buffer was never written to. That other objects are resident does not make them so.
TEST(GoroutineLeak, OnlyTheResidentPagesOfLargeObjectsCount) {
  std::string group = fmt::format(": 4 \"chan send\" by=0x401400 since=9 kept={} objects=8", 4 * kJob);
  std::string resident;
  for (int k = 0; k < 4; ++k) {
    group += fmt::format(" large={:#x}:{}@0x401500", 0xc000000000 + kJob * k, kJob);
    resident += fmt::format("{:x}+{}, ", 0xc000000 + kJobPages * k, kJobPages / 2);
  }
  auto e = told(go_program("go1.26.8") +
                moment(30, "c000000+65536 heap live=128M, c020000+131072 heap live=512M",
                       resident + "c020000+131072", group + " " + kSendFrames, "goal=1G"));
  ASSERT_NE(finding(e, "goroutine-leak"), nullptr);
  EXPECT_EQ(finding(e, "goroutine-leak")->bytes, 2 * kJob);
  EXPECT_EQ(finding(e, "goroutine-leak")->recoverable_bytes, 2 * kJob);
  const auto& against = finding(e, "goroutine-leak")->against;
  EXPECT_EQ(std::count(against.begin(), against.end(), "128.0 MiB of it are not resident"), 1);
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find(" keep 128.0 MiB (256.0 MiB virtual: 64.0 MiB each), "),
            std::string::npos)
      << "resident bytes come first";
}

TEST(GoroutineLeak, WhatGoItselfFoundIsEvidence) {
  auto e = told(hourly_job({5, 5}, "chan send", "since=9 leaked=4"));
  EXPECT_EQ(finding(e, "goroutine-leak")->evidence.at(1),
            "Go's own goroutine leak profile calls 4 of them leaked");
}

// The count tells also when the bytes of a cut walk do not.
TEST(GoroutineLeak, CountsGrowWhenTheWalkIsCutShort) {
  auto e = told(hourly_job({2, 3, 4, 5}, "chan receive", "since=9", " incomplete"));
  EXPECT_EQ(finding(e, "goroutine-leak")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "goroutine-leak")->confidence, Confidence::kLow);
}

// A stale word looks like the address of one of nine buffers: the ninth goroutine keeps one all the same.
TEST(GoroutineLeak, OneBufferLooksShared) {
  auto with = [](uint64_t live) {
    std::string script = go_program("go1.26.8");
    std::string group = fmt::format(": 9 \"chan send\" by=0x401400 since=9 kept={} objects=16", 8 * kJob);
    for (int k = 0; k < 8; ++k)
      group += fmt::format(" large={:#x}:{}@0x401500", 0xc000000000 + kJob * k, kJob);
    return told(script + moment(30, fmt::format("c000000+{} heap live={}", 9 * kJobPages, live),
                                fmt::format("c000000+{}", 9 * kJobPages), group + " " + kSendFrames,
                                "goal=1G"));
  };
  auto e = with(9 * kJob);
  EXPECT_EQ(finding(e, "goroutine-leak")->bytes, 9 * kJob);
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find("keep 576.0 MiB: 64.0 MiB each, allocated"),
            std::string::npos);
  EXPECT_EQ(finding(e, "goroutine-leak")->against.back().substr(0, 8), "64.0 MiB");
  EXPECT_EQ(finding(with(8 * kJob), "goroutine-leak")->bytes, 8 * kJob);
}

// A pipeline under load: the sender has waited for a moment only, or no collection has dated its wait.
TEST(GoroutineLeak, ShortWaitsAreNoProblem) {
  EXPECT_EQ(problems(told(hourly_job({5, 5, 5, 5}, "chan send", "since=40.9"))), 0u);
  EXPECT_EQ(problems(told(hourly_job({5, 5, 5, 5}, "chan send", ""))), 0u);
}

// Workers that wait for work with their buffers; one that owns the cache of the program.
TEST(GoroutineLeak, IdleWorkersAreNoProblem) {
  auto e = told(hourly_job({5, 5, 5, 5}, "chan receive", "since=9"));
  EXPECT_EQ(finding(e, "goroutine-leak"), nullptr) << "what is no leak is not called one";
  EXPECT_EQ(problems(e), 0u);
  EXPECT_EQ(finding(told(hourly_job({1, 1, 1, 1}, "select", "since=9")), "goroutine-leak"), nullptr);
}

// main in wg.Wait() with the data set of the program, or a program that stops in select{}.
TEST(GoroutineLeak, MainThatWaitsWithItsDataIsNoProblem) {
  for (const char* reason : {"sync.WaitGroup.Wait", "semacquire", "select (no cases)", "coroutine"}) {
    EXPECT_EQ(finding(told(hourly_job({1, 1, 1, 1}, reason, "since=9")), "goroutine-leak"), nullptr)
        << reason;
    EXPECT_EQ(finding(told(hourly_job({5, 5, 5, 5}, reason, "since=9")), "goroutine-leak"), nullptr)
        << reason;
    const auto e = told(hourly_job({2, 3, 4, 5}, reason, "since=9"));
    ASSERT_NE(finding(e, "goroutine-leak"), nullptr) << reason;
    EXPECT_EQ(finding(e, "goroutine-leak")->kind, FindingKind::kProblem) << reason;
    EXPECT_NE(finding(e, "goroutine-leak")->claim.find("waiting in"), std::string::npos) << reason;
  }
}

// Up to Go 1.19 a lock is waited for in "semacquire" too.
TEST(GoroutineLeak, SemacquireForALockIsNotIdle) {
  auto e =
      told("@10 symbol 1 0x402000 ret binary=b1 sync.runtime_SemacquireMutex@/go/src/runtime/sema.go:77\n" +
           hourly_job({1, 1}, "semacquire", "since=9", "", "0x401000 0x402000 0x401200 0x401300"));
  ASSERT_NE(finding(e, "goroutine-leak"), nullptr);
  EXPECT_EQ(finding(e, "goroutine-leak")->kind, FindingKind::kProblem);
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find("1 goroutine blocked in semacquire"), std::string::npos);
}

TEST(GoroutineLeak, GrowthOfWorkersIsAProblem) {
  auto e = told(hourly_job({2, 3, 4, 5}, "chan receive", "since=9"));
  EXPECT_EQ(finding(e, "goroutine-leak")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "goroutine-leak")->confidence, Confidence::kMedium);
}

// A program that starts has more and more workers for a while: growth is growth from 20 s on, of goroutines too.
TEST(GoroutineLeak, GrowthLasts) {
  const auto within = [](int seconds) {
    std::string script = go_program("go1.26.8");
    for (int i = 0; i < 5; ++i) {
      const int n = 2 + i;
      script += moment(11 + seconds * i / 4, fmt::format("c000000+{} heap live={}", n * kJobPages, n * kJob),
                       fmt::format("c000000+{}", n * kJobPages),
                       fmt::format(": {} \"chan receive\" by=0x401400 since=9 kept={} objects={} {}", n,
                                   kJob * n, 2 * n, kSendFrames),
                       fmt::format("in_use={} live={} goal={}", n * kJob, n * kJob, 2 * n * kJob));
    }
    return told(script);
  };
  EXPECT_EQ(finding(within(16), "goroutine-leak"), nullptr);
  ASSERT_NE(finding(within(32), "goroutine-leak"), nullptr);
  EXPECT_EQ(finding(within(32), "goroutine-leak")->kind, FindingKind::kProblem);
}

// Each connection has a reader, and waits with its buffers: many, and none of them is a leak.
TEST(Goroutines, OfManyConnections) {
  const auto with = [](int n, const std::string& reason, const std::string& walk = "") {
    std::string script = go_program("go1.26.8");
    for (int i = 0; i < 4; ++i)
      script += moment(11 + 10 * i, "c000000+16384 heap live=64M, c004000+4096 stack", "c000000+20480",
                       fmt::format("{}: {} \"{}\" by=0x401400 since=9 stack={} kept=48M objects=8 {}", walk,
                                   n, reason, 8192 * n, kReadFrames),
                       "in_use=64M live=64M goal=128M stacks=16M");
    return told(script);
  };
  const auto e = with(2000, "IO wait");
  const Finding* found = finding(e, "goroutines");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, (48u << 20) + 2000 * 8192);
  EXPECT_EQ(found->claim,
            "2000 goroutines that wait hold 63.6 MiB (79 %) of app's memory, 32.6 KiB each on average.");
  EXPECT_EQ(found->evidence.at(0),
            "2000 in IO wait at main.serve (main.go:90), created at main.runJob (main.go:43): 63.6 MiB");
  EXPECT_EQ(figure(*found, "goroutines"), 2000);
  EXPECT_EQ(problems(e), 0u);
  EXPECT_EQ(finding(e, "goroutine-leak"), nullptr);
  EXPECT_EQ(finding(with(2000, "IO wait", " incomplete"), "goroutines")->confidence, Confidence::kLow);
  EXPECT_EQ(finding(with(20, "IO wait"), "goroutines"), nullptr) << "not many";
  EXPECT_EQ(finding(with(2000, "chan send"), "goroutines"), nullptr) << "nobody idles in a send";
}

// Two goroutines for each connection, and a list of all connections: no group keeps its buffers alone.
TEST(Goroutines, WhatIsNearestToThemAndReachedFromOthersToo) {
  const auto with = [](const char* cut, uint64_t also_mib) {
    std::string script = go_program("go1.26.8");
    for (int i = 0; i < 4; ++i)
      script += moment(11 + 10 * i, "c000000+16384 heap live=64M, c004000+4096 stack", "c000000+20480",
                       fmt::format(" held=62M:4000{}: 2000 \"IO wait\" by=0x401400 since=9 stack=16M kept=1M "
                                   "objects=8 {}\n holders n=2000 by=0x401400 bytes=2M objects=8 resident=2M "
                                   "also={}M {}\n variable name=main.log bytes=4M objects=1 resident=4M",
                                   cut, kReadFrames, also_mib, kReadFrames),
                       "in_use=64M live=64M goal=128M stacks=16M");
    return told(script);
  };
  const auto e = with("", 46);
  const Finding* found = finding(e, "goroutines");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 64u << 20);  // 2 and 46 of objects, 16 of stacks
  EXPECT_NE(found->claim.find("2000 goroutines that wait reach 64.0 MiB"), std::string::npos) << found->claim;
  EXPECT_EQ(found->against.size(), 2u);
  EXPECT_EQ(finding(e, "held-heap"), nullptr);
  // Of a walk that was not finished at least that is near to them.
  const auto cut = with(" cut", 46);
  EXPECT_EQ(finding(cut, "goroutines")->bytes, 64u << 20);
  EXPECT_EQ(finding(cut, "goroutines")->confidence, Confidence::kLow);
  EXPECT_EQ(finding(with("", 0), "goroutines")->bytes, 17u << 20);
}

TEST(GoroutineLeak, RuntimeAndFewReadersAreSilent) {
  EXPECT_EQ(
      finding(told(hourly_job({5, 5, 5, 5}, "GC worker (idle)", "since=9", "", "0x401000 0x401900 0x401300")),
              "goroutine-leak"),
      nullptr);
  std::string script = go_program("go1.26.8");
  for (int i = 0; i < 4; ++i)
    script += moment(11 + 10 * i, "c000000+8192 heap live=32M", "c000000+8192",
                     fmt::format(": {} \"IO wait\" since=9 stack={} kept=64K objects=8 {}", 8 + i,
                                 8192 * (8 + i), kReadFrames),
                     "in_use=32M live=32M goal=64M");
  EXPECT_EQ(finding(told(script), "goroutine-leak"), nullptr);
}

// What the channel is reachable from does not matter: the group grows.
TEST(GoroutineLeak, FoundByItsCountWhenItKeepsNothingAlone) {
  auto with = [](std::vector<int> counts) {
    std::string script = go_program("go1.27.3");
    int seconds = 11;
    for (const int n : counts) {
      script +=
          moment(seconds, fmt::format("c000000+64 heap live=256K, c000040+{} stack", 2 * n),
                 fmt::format("c000000+{}", 64 + 2 * n),
                 fmt::format(": {} \"sleep\" by=0x401400 since=9 stack={} {}", n, 8192 * n, kReadFrames),
                 fmt::format("in_use=256K live=256K goal=4M stacks={}", 8192 * n));
      seconds += 10;
    }
    return told(script);
  };
  auto e = with({2000, 4000, 6000, 8000});
  const Finding* found = finding(e, "goroutine-leak");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 8000 * 8192u);
  EXPECT_EQ(found->claim,
            "8000 goroutines waiting in sleep at main.serve (main.go:90) have 62.5 MiB of stacks, created at "
            "main.runJob (main.go:43), the longest waiting at least since 22:13:29 UTC.");
  EXPECT_EQ(found->remedy,
            "Wait in a select with <-ctx.Done() and a timer, so that the goroutine can be ended. Go's own "
            "\"goroutineleak\" profile does not list goroutines in sleep.");
  EXPECT_EQ(finding(e, "goroutine-stacks")->kind, FindingKind::kProblem);
  EXPECT_EQ(problems(with({2000, 4000, 2000, 8000})), 0u);
}

// Go's profile knows goroutines that wait for a channel or a lock, and only from 1.26 on.
TEST(GoroutineLeak, RemedyNamesTheProfileThatCanListThem) {
  auto remedy = [](const std::string& build, const std::string& reason) {
    std::string script = hourly_job({2, 3, 4, 5}, reason, "since=9");
    script.replace(script.find("go1.26.8"), 8, build);
    return finding(told(script), "goroutine-leak")->remedy;
  };
  const std::string listed =
      "From inside, the \"goroutineleak\" profile of runtime/pprof lists goroutines that can never go on";
  for (const char* reason : {"chan receive", "select", "sync.Mutex.Lock", "sync.WaitGroup.Wait"}) {
    EXPECT_TRUE(remedy("go1.27.3", reason).ends_with(listed + ".")) << remedy("go1.27.3", reason);
    EXPECT_TRUE(remedy("go1.26.8", reason)
                    .ends_with(listed + ", in a build with GOEXPERIMENT=goroutineleakprofile."));
    EXPECT_EQ(remedy("go1.25.4", reason).find("goroutineleak"), std::string::npos);
  }
  for (const char* reason : {"IO wait", "semacquire", "coroutine"}) {
    EXPECT_TRUE(remedy("go1.27.3", reason)
                    .ends_with(fmt::format(
                        "Go's own \"goroutineleak\" profile does not list goroutines in {}.", reason)));
    EXPECT_EQ(remedy("go1.25.4", reason).find("goroutineleak"), std::string::npos);
  }
}

// Without samples: by the probe of large allocations, although the pages were there before (reused, never faulted).
TEST(GoroutineLeak, AllocationSiteByTheProbe) {
  const std::string job = hourly_job({1, 2, 3, 4}, "chan send", "since=9", "", kSendFrames, false);
  const std::string call = fmt::format("go-call 1 large_allocation {} ", kJob);
  auto with = [&](const std::string& calls) {
    const size_t at = job.find("@41");
    return told(job.substr(0, at) + "@40\n" + calls + job.substr(at));
  };
  auto e = with(call + "s2\n" + call + "s2\n" + call + "s2\n");
  const Finding* found = finding(e, "goroutine-leak");
  EXPECT_NE(found->claim.find("64.0 MiB each, allocated at main.(*job).load (main.go:36), created"),
            std::string::npos)
      << found->claim;
  EXPECT_EQ(found->evidence[1],
            "the allocation of 3 of 4 large objects was seen by a probe on the Go runtime, by their size");
  EXPECT_EQ(found->evidence[2],
            "1 of them existed before memwhy attached and are assumed to come from the same place");
  ASSERT_EQ(e.processes[0].go_calls.size(), 1u);
  EXPECT_EQ(e.processes[0].go_calls[0].calls, 3u);
  EXPECT_EQ(e.processes[0].go_calls[0].bytes, 3 * kJob);

  // Two places that allocate as much: neither is said.
  e = with(call + "s2\n" + call + "s3\n" + call + "s3\n");
  EXPECT_EQ(finding(e, "goroutine-leak")->claim.find("allocated at"), std::string::npos);
  // Of another size: not these objects.
  e = with(fmt::format("go-call 1 large_allocation {} s2\n", kJob / 2));
  EXPECT_EQ(finding(e, "goroutine-leak")->claim.find("allocated at"), std::string::npos);
}

// Without samples: by the page faults of what was made after attach. memclr in mallocgc is the allocation itself.
TEST(GoroutineLeak, AllocationSiteByPageFaults) {
  auto with = [](const std::string& stack) {
    std::string script = hourly_job({1, 2, 3}, "chan send", "since=9", "", kSendFrames, false);
    script += fmt::format("@40 table 1: {:x}+{} {} @39 w\n", 0xc000000 + 3 * kJobPages, kJobPages, stack);
    std::string more = hourly_job({1, 2, 3, 4}, "chan send", "since=9", "", kSendFrames, false);
    return told(script + more.substr(more.find("@41 ")));
  };
  auto e = with("s1");
  EXPECT_NE(finding(e, "goroutine-leak")->claim.find("first touched at main.(*job).load (main.go:38)"),
            std::string::npos);
  EXPECT_EQ(finding(e, "goroutine-leak")->evidence.at(1),
            "1 of 4 large objects became resident after memwhy attached: the stacks of their page faults are "
            "known");
  EXPECT_EQ(finding(e, "goroutine-leak")->evidence.at(2),
            "3 of them existed before memwhy attached and are assumed to come from the same place");
  EXPECT_NE(finding(with("s2"), "goroutine-leak")->claim.find("allocated at main.(*job).load (main.go:36)"),
            std::string::npos);
  auto before = told(hourly_job({4, 4}, "chan send", "since=9", "", kSendFrames, false));
  EXPECT_EQ(
      finding(before, "goroutine-leak")->evidence.at(1),
      "where they were allocated is unknown: no sample of a heap profile, and there before memwhy attached");
}

}  // namespace
}  // namespace memwhy::explain
