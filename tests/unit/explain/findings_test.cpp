// SPDX-License-Identifier: Apache-2.0
// Each cause, and its healthy twin that must stay silent.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kC = "@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\n";
const std::string kRace =
    "@10 binary b1 /bin/go inode=7 go=go1.26.8 race cgo\nattach 1 pid=5 comm=go exe=/bin/go binary=b1\n";

// A mapping that holds `pages[i]` pages at scan i, one scan in `period` s, beside 1000 pages that stay.
Explanation with_mapping(const std::string& process, const std::string& vma, const std::vector<int>& pages,
                         int period = 10) {
  std::string script = process + "vmas 1\n  20+1024 rw-p\n  10000000+100000 " + vma + "\n";
  int seconds = 11;
  for (int count : pages) {
    script += fmt::format("@{} scan 1: 20+1000, 10000000+{}\n", seconds, count);
    seconds += period;
  }
  return told(script);
}

TEST(RaceDetector, ProblemAboveTheThreshold) {
  auto e = told(kRace + R"(
vmas 1
  c000000+8192 rw-p
  218000000+32768 rw-p
@11 scan 1: c000000+5000, 218000000+10000
@21 scan 1: c000000+5000, 218000000+11000
@31 scan 1: c000000+5000, 218000000+12000
@41 scan 1: c000000+5000, 218000000+13000
)");
  const Finding* found = finding(e, "race-detector");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 13000 * kPageBytes);
  EXPECT_EQ(found->recoverable_bytes, 13000 * kPageBytes);
  EXPECT_DOUBLE_EQ(found->share, 13000.0 / 18000);
  EXPECT_DOUBLE_EQ(*found->growth_bytes_per_s, 100.0 * kPageBytes);
  EXPECT_EQ(found->confidence, Confidence::kHigh);
  EXPECT_EQ(found->claim,
            "The race detector holds 50.8 MiB (72 %) of go's memory, +23.4 MiB/min: the program was built "
            "with -race.");
  EXPECT_EQ(found->evidence.at(0), "build info of the executable says -race=true, go1.26.8");
  EXPECT_TRUE(found->against.empty());
  EXPECT_EQ(&e.processes[0].findings.front(), found);
  EXPECT_EQ(problems(e), 1u);
}

TEST(RaceDetector, SilentBelowTheThreshold) {
  auto e =
      told(kRace +
           "vmas 1\n  c000000+8192 rw-p\n  218000000+32768 rw-p\n@11 scan 1: c000000+8000, 218000000+4095\n");
  EXPECT_EQ(finding(e, "race-detector"), nullptr);
  EXPECT_EQ(problems(e), 0u);
  // 16 MiB and more, but less than a tenth.
  e = told(
      kRace +
      "vmas 1\n  c000000+81920 rw-p\n  218000000+32768 rw-p\n@11 scan 1: c000000+80000, 218000000+4100\n");
  EXPECT_EQ(finding(e, "race-detector"), nullptr);
}

TEST(RaceDetector, ExplainsASmallProcessWithoutAProblem) {
  auto e =
      told(kRace +
           "vmas 1\n  c000000+8192 rw-p\n  218000000+32768 rw-p\n@11 scan 1: c000000+500, 218000000+900\n");
  ASSERT_NE(finding(e, "race-detector"), nullptr);
  EXPECT_EQ(finding(e, "race-detector")->kind, FindingKind::kExplains);
  EXPECT_EQ(problems(e), 0u);
}

TEST(FileMapping, LargeAndStableExplains) {
  auto e = with_mapping(kC, "r--s /data/index inode=8", {20000, 20000, 20000, 20000});
  const Finding* found = finding(e, "file-mapping");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 20000 * kPageBytes);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_EQ(problems(e), 0u);
}

// Of a private mapping that was written no page is the file's any more.
TEST(FileMapping, CopiesAreNoPageCache) {
  auto e = with_mapping(kC, "rw-p /data/model inode=8", {20000, 20000, 20000, 20000});
  const Finding* found = finding(e, "file-mapping");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(pages(e, "file.private"), 20000u);
  EXPECT_EQ(found->headline,
            "78.1 MiB (95 %) are mapped files, 78.1 MiB of it copies of pages that were written, which the "
            "kernel can't drop");
  EXPECT_EQ(found->evidence.at(1), "/data/model: 78.1 MiB");
  e = with_mapping(kC, "r--s /data/index inode=8", {20000, 20000, 20000, 20000});
  EXPECT_EQ(finding(e, "file-mapping")->headline, "78.1 MiB (95 %) are mapped files");
}

TEST(FileMapping, GrowingIsAProblem) {
  auto e = with_mapping(kC, "r--s /data/index inode=8", {10000, 14000, 18000, 22000});
  const Finding* found = finding(e, "file-mapping");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_DOUBLE_EQ(*found->growth_bytes_per_s, 400.0 * kPageBytes);
  EXPECT_EQ(found->evidence.at(1), "/data/index: 85.9 MiB");
  EXPECT_EQ(found->evidence.at(2), "rose by 46.9 MiB in 30 s, in each quarter of it and until the end");
}

// What rises late did not rise in every quarter of the recording; what rose for 6 s may be a start.
TEST(FileMapping, GrowthIsJudgedByItsOwnTime) {
  auto e = with_mapping(kC, "r--s /data/index inode=8",
                        {10000, 10000, 10000, 10000, 10000, 14000, 18000, 22000, 26000});
  EXPECT_EQ(finding(e, "file-mapping")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(e, "file-mapping")->evidence.at(2),
            "rose by 62.5 MiB in 40 s, in each quarter of it and until the end");
  e = with_mapping(kC, "r--s /data/index inode=8", {10000, 14000, 18000, 22000}, 2);
  EXPECT_EQ(finding(e, "file-mapping")->kind, FindingKind::kExplains);
}

TEST(SharedMemory, StableExplainsGrowingIsAProblem) {
  auto stable = with_mapping(kC, "rw-s /memfd:ring inode=8 shmem", {20000, 20000, 20000, 20000});
  ASSERT_NE(finding(stable, "shared-memory"), nullptr);
  EXPECT_EQ(finding(stable, "shared-memory")->kind, FindingKind::kExplains);
  EXPECT_EQ(problems(stable), 0u);
  auto growing = with_mapping(kC, "rw-s /memfd:ring inode=8 shmem", {10000, 14000, 18000, 22000});
  EXPECT_EQ(finding(growing, "shared-memory")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(growing, "shared-memory")->bytes, 22000 * kPageBytes);
  auto starting = with_mapping(kC, "rw-s /memfd:ring inode=8 shmem", {10000, 14000, 18000, 22000}, 2);
  EXPECT_EQ(finding(starting, "shared-memory")->kind, FindingKind::kExplains);
}

TEST(ThreadStacks, ManyDeepStacksAreAProblem) {
  auto with_stacks = [](int pages) {
    std::string script = kC + "threads 1 6:0:0x10800900 7:0:0x20800900\nvmas 1\n  20+8192 rw-p\n";
    script += "  10000+1 ---p\n  10001+2048 rw-p\n  20000+1 ---p\n  20001+2048 rw-p\n";
    return told(script + fmt::format("@11 scan 1: 20+8000, 10001+{0}, 20001+{0}\n", pages));
  };
  auto e = with_stacks(2048);
  const Finding* found = finding(e, "thread-stacks");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->claim,
            "Stacks of threads hold 16.0 MiB (34 %) of c's memory: 2 stacks, 8.0 MiB each on average.");
  EXPECT_EQ(figure(*found, "stacks"), 2);
  EXPECT_EQ(figure(*found, "bytes_each"), 8 << 20);
  EXPECT_EQ(found->figures.front().unit, FigureUnit::kCount);
  EXPECT_EQ(finding(with_stacks(2047), "thread-stacks"), nullptr);
}

// Of 100 stacks one has a thread, and those that ended were not read as such: fewer threads would not help.
TEST(ThreadStacks, OfThreadsThatEnded) {
  std::string vmas = "vmas 1\n  20+8192 rw-p\n", maps, scan = "scan 1: 20+8000";
  for (int i = 0; i < 100; ++i) {
    const int at = 0x10000 + i * 0x1000;
    vmas += fmt::format("  {:x}+1 ---p\n  {:x}+256 rw-p\n", at, at + 1);
    maps += fmt::format("@10 mmap 1 {:x}+256 s10 flags=0x20022\n", at + 1);
    scan += fmt::format(", {:x}+256", at + 1);
  }
  const auto e = told(kC + "symbol 1 0x401600 binary=b1 mmap@:0\nstack s10 1 0x401600\nthreads 1 5:0:0\n" +
                      vmas + maps + "@11 " + scan + "\n");
  const Finding* found = finding(e, "thread-stacks");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(figure(*found, "stacks"), 100);
  EXPECT_NE(found->headline.find("most of threads that ended: 100 stacks, 1 thread"), std::string::npos)
      << found->headline;
  EXPECT_NE(found->remedy.find("pthread_detach"), std::string::npos) << found->remedy;
}

const std::string kLeak = R"(symbol 1 0x401e00 binary=b1 leak@main.c:13
stack s1 1 0x401e00
)";

// A program that maps and keeps; `counts` pages at each scan, all by one stack.
Explanation mapped_by_stack(const std::vector<int>& counts) {
  std::string script =
      kC + kLeak +
      "vmas 1\n  400+16 r-xp /bin/c inode=7\n  20+512 rw-p\n  10000000+100000 rw-p\n@11 scan 1: 20+500\n";
  double seconds = 20;
  for (int count : counts) {
    script += fmt::format("@{} table 1 restated: 10000000+{} s1 @{} w\n", seconds, count, seconds - 5);
    script += fmt::format("@{} scan 1: 20+500, 10000000+{}\n", seconds + 1, count);
    seconds += 10;
  }
  return told(script);
}

TEST(AnonGrowth, NamesTheStack) {
  auto e = mapped_by_stack({2000, 6000, 10000, 14000, 18000});
  const Finding* found = finding(e, "anon-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 18000 * kPageBytes);
  EXPECT_EQ(found->evidence.at(1), "70.3 MiB by leak (main.c:13)");
  EXPECT_EQ(found->confidence, Confidence::kMedium);
}

// Of a library's frames who called it says more, and of Go's standard library which function did it. A JVM acts for nobody.
TEST(LargestOwner, BesideTheProgramsOwnFunctionStandsTheLibrary) {
  const auto touched_by = [](const std::string& build, const std::string& frames) {
    const Explanation e =
        told("@10 binary b1 /bin/c inode=7" + build +
             "\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\nvmas 1\n  400+16 r-xp /bin/c inode=7\n"
             "  500+16 r-xp /lib/libz.so.1 inode=8\n  600+16 r-xp /lib/libzip.so inode=9\n"
             "  700+16 r-xp /lib/libjvm.so inode=10\n  10000000+100000 rw-p\n"
             "symbol 1 0x400100 ret binary=b1 main.serve@main.go:7\nsymbol 1 0x400200 ret binary=b1 "
             "time.After@sleep.go:9\n"
             "symbol 1 0x400300 binary=b1 runtime.mmap@sys.go:1\nsymbol 1 0x500100 deflateReset@:0\n"
             "symbol 1 0x600100 ret Java_init@:0\nsymbol 1 0x700100 Unsafe_Set@:0\nstack s1 1 " +
             frames + "\n@11 table 1 restated: 10000000+20000 s1 @10.5 w\n@12 scan 1: 10000000+20000\n");
    std::string all;
    for (const Finding& each : e.processes[0].findings) {
      all += each.claim + "\n";
      for (const std::string& text : each.evidence) all += text + "\n";
    }
    return all;
  };
  EXPECT_THAT(touched_by("", "0x500100 0x600100"), HasSubstr(" by Java_init (libzip.so) in libz.so.1"));
  EXPECT_THAT(touched_by("", "0x700100 0x600100"), HasSubstr(" by Unsafe_Set (libjvm.so)"));
  EXPECT_THAT(touched_by(" go=go1.26.8", "0x400300 0x400200 0x400100"),
              HasSubstr(" by main.serve (main.go:7) in time.After"));
}

TEST(LargestOwner, LessThanHalfIsNotMostOfIt) {
  const auto e = told(kC +
                      "vmas 1\n  400+16 r-xp /bin/c inode=7\n  10000000+100000 rw-p\n"
                      "  555500000+65536 rw-p [heap]\n  7ff000000+40000 rw-p [stack]\n@11 scan 1: "
                      "10000000+4000, 555500000+3900, 7ff000000+3800\n");
  const Finding& found = e.processes[0].findings.back();
  EXPECT_THAT(found.headline, StartsWith("the largest part, 15.6 MiB (34 %), is "));
  EXPECT_THAT(found.claim, StartsWith("The largest part of c is "));
}

TEST(LargestOwner, MostOfItInHugePages) {
  const auto e = told(kC + "vmas 1\n  10000000+100000 rw-p\n@11 scan 1: 10000000+10240 huge, 10004000+100\n");
  const Finding& found = e.processes[0].findings[0];
  EXPECT_EQ(found.headline,
            "most of it, 40.4 MiB (100 %), is anon.before_attach, 40.0 MiB of it in huge pages");
  EXPECT_EQ(figure(found, "huge_bytes"), 40 << 20);
}

TEST(AnonGrowth, SilentWhenStableFallingOrSeenTooShortly) {
  EXPECT_EQ(problems(mapped_by_stack({18000, 18000, 18000, 18000, 18000})), 0u);
  EXPECT_EQ(problems(mapped_by_stack({18000, 2000, 18000, 2000, 18000, 2000, 18000, 2000})), 0u);
  EXPECT_EQ(problems(mapped_by_stack({2000, 18000})), 0u);
  EXPECT_EQ(problems(mapped_by_stack({2000, 2500, 3000, 3500, 4000})), 0u);  // 8 MiB more: below 16 MiB
}

TEST(LargestOwner, IsAlwaysNamed) {
  auto e = with_mapping(kC, "rw-p", {20000, 20000, 20000, 20000});
  ASSERT_EQ(e.processes[0].findings.size(), 1u);
  const Finding& found = e.processes[0].findings[0];
  EXPECT_EQ(found.id, "largest-owner");
  EXPECT_EQ(found.kind, FindingKind::kExplains);
  EXPECT_EQ(found.claim, "Most of c is anon.before_attach: 82.0 MiB (100 %).");
  EXPECT_EQ(found.confidence, Confidence::kLow);
}

TEST(Events, StepForkExecOomEachOnce) {
  auto e = told(kC + R"(
vmas 1
  10000000+100000 rw-p
@11 scan 1: 10000000+10000
@12 fork 2 from 1 pid=6
@12.5 fork 2 from 1 pid=6 comm=c
@13 scan 1: 10000000+20000
@14 scan 1: 10000000+21000
@15 oom 1 pid=5
@16 exec 3 from 1 pid=5 comm=d
@16 space-end 1 execed
)");
  // What it is now comes first, what it was last.
  ASSERT_EQ(e.processes.size(), 2u);
  EXPECT_EQ(e.processes[0].comm, "d");
  std::swap(e.processes[0], e.processes[1]);
  const auto& events = e.processes[0].events;
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].what, EventWhat::kFork);
  EXPECT_EQ(events[0].text, "forked pid 6");
  EXPECT_EQ(events[1].what, EventWhat::kStep);
  EXPECT_EQ(events[1].text, "RSS rose by 39.1 MiB within 2.0 s, mostly unattributed");
  EXPECT_EQ(events[1].bytes, 10000 * kPageBytes);
  EXPECT_EQ(events[2].what, EventWhat::kOom);
  EXPECT_EQ(events[3].what, EventWhat::kExec);
}

TEST(Process, WithoutAScanSaysSo) {
  auto e = told(kC);
  ASSERT_EQ(e.processes.size(), 1u);
  EXPECT_TRUE(e.processes[0].ledger.empty());
  EXPECT_EQ(e.processes[0].note, "no scan was completed: there is no ledger");
  EXPECT_EQ(e.processes[0].scan_time, std::nullopt);
}

// The target ends in the middle of a scan: that is no fall of its RSS.
TEST(Process, ScanCutShortDoesNotReplaceAWholeOne) {
  auto e = told(kC + "vmas 1\n  20+1024 rw-p\n@11 scan 1: 20+1000\n@12 scan 1 incomplete: 20+10\n");
  EXPECT_EQ(e.processes[0].rss.bytes, 1000 * kPageBytes);
  EXPECT_TRUE(e.processes[0].coverage.scan_complete);
  EXPECT_EQ(e.processes[0].scans, 1u);
}

TEST(Process, GapBetweenCounterAndScan) {
  std::string script = kC + "vmas 1\n  20+1024 rw-p\n@11 scan 1: 20+1000\n";
  auto events = memwhy::testing::parse_script(script);
  auto& scan = std::get<events::PageScan>(events.back().payload);
  scan.before = events::Counters{};
  scan.before->rss_anon_bytes = 1010 * kPageBytes;
  scan.before->error_bytes = 64 * kPageBytes;
  scan.after = scan.before;
  scan.after->rss_anon_bytes = 1030 * kPageBytes;
  Explainer explainer;
  for (const auto& event : events) explainer.on_event(event);
  auto process = explainer.finish().processes.at(0);
  EXPECT_EQ(process.rss.counter_bytes, 1020 * kPageBytes);
  EXPECT_EQ(process.rss.counter_error_bytes, 64 * kPageBytes);
  EXPECT_EQ(process.coverage.rss_gap_bytes, static_cast<int64_t>(20 * kPageBytes));
}

TEST(Coverage, TruncatedStacksAndLossesAreTold) {
  auto e = told(kC + kLeak + R"(symbol 1 0x401f00 ret binary=b1 _start@:0
stack s2 1 0x401e00 0x401f00
vmas 1
  400+16 r-xp /bin/c inode=7
  900+64 rw-p
@11 scan 1: 400+1 file
@12 table 1: 900+5 s1 @11.5 w, 905+7 s2 @11.5 w
@13 scan 1: 900+12
loss 1 removal 3
loss 0 removal 2
coverage seen=12 recorded=10 full=2 stacks_lost=1 copied=40 refused=9 kind=vma_map:7:5:2 prog=p:12:75000000:150000000
)");
  EXPECT_EQ(e.processes[0].coverage.truncated_stack_bytes, 5 * kPageBytes);
  EXPECT_EQ(e.coverage.events_lost, 2u);
  EXPECT_EQ(e.coverage.faults_lost, 2u);
  EXPECT_EQ(e.coverage.snapshots_taken, 40u);
  EXPECT_EQ(e.coverage.snapshots_refused, 9u);
  EXPECT_EQ(e.coverage.losses, (std::vector<std::pair<std::string, uint64_t>>{{"removal", 5}}));
  EXPECT_DOUBLE_EQ(*e.coverage.bpf_cpu_share, 0.5);
  EXPECT_FALSE(e.coverage.complete);
  EXPECT_EQ(e.coverage.ended, "killed");
}

}  // namespace
}  // namespace memwhy::explain
