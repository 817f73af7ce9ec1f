// SPDX-License-Identifier: Apache-2.0
// Causes that a fact of the kernel or of a mapping decides: variables, locked, huge, ended threads. Each with its healthy twin.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string c_program(const std::string& more = "") {
  return "@10 binary b1 /bin/c inode=7" + more + "\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\n";
}

// 40 MiB of .bss behind the program's own file, or of a data file that is not one.
Explanation with_bss(const std::string& variables, int pages) {
  return told(c_program(variables) + fmt::format(R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  410+16 rw-p /bin/c inode=7
  420+20000 rw-p
  900000+8192 rw-p /data/x inode=8
@11 scan 1: 400+10 file, 410+3 file, 413+5, 420+{}, 900000+7
)",
                                                 pages));
}

TEST(ProgramData, TheLargestVariableIsNamed) {
  const auto e = with_bss(" variable=main.table:.noptrbss:80M variable=small:.data:2M", 10240);
  EXPECT_EQ(pages(e, "program.data"), 10245u);
  EXPECT_EQ(pages(e, "file.private"), 7u);  // no code of it is mapped: a file's pages, not variables
  EXPECT_EQ(pages(e, "file.text"), 13u);    // what was not written is the file's
  const Finding* found = finding(e, "program-data");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->headline, "40.0 MiB (100 %) are the program's own variables (.noptrbss)");
  EXPECT_EQ(found->evidence.at(0), "main.table in .noptrbss: 80.0 MiB (virtual)");
  EXPECT_EQ(&e.processes[0].findings.front(), found);
  EXPECT_EQ(finding(e, "largest-owner"), nullptr);
}

TEST(ProgramData, StrippedNamesTheSection) {
  const Finding found = *finding(with_bss(" variable=:.bss:41M", 10240), "program-data");
  EXPECT_EQ(found.evidence.at(0), ".bss: 41.0 MiB (virtual)");
}

TEST(ProgramData, SilentWhereItIsSmall) {
  const auto e = told(c_program() + R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  410+16 rw-p /bin/c inode=7
  900000+8192 rw-p
@11 scan 1: 400+10 file, 413+5, 900000+8000
)");
  EXPECT_EQ(pages(e, "program.data"), 5u);
  EXPECT_EQ(finding(e, "program-data"), nullptr);
}

// 1,000 pages of RSS, and these counters.
Explanation with_counters(const std::string& counters, int rss_pages = 1000) {
  return told(c_program() + "vmas 1\n  900000+20000 rw-p\n@11 counters 1 " + counters +
              fmt::format("\n@12 scan 1: 900000+{}\n", rss_pages));
}

TEST(BesideRss, HugetlbAndSwapAreSaidAndAreNoPartOfRss) {
  const auto e = with_counters("hugetlb=256M swap=32M");
  ASSERT_NE(finding(e, "hugetlb"), nullptr);
  EXPECT_EQ(finding(e, "hugetlb")->bytes, 0u);
  EXPECT_EQ(finding(e, "hugetlb")->claim,
            "RSS is 3.9 MiB; 256.0 MiB more are in huge pages (hugetlb), which RSS does not count.");
  EXPECT_EQ(figure(*finding(e, "hugetlb"), "hugetlb_bytes"), 256 * kMiB);
  ASSERT_NE(finding(e, "swap"), nullptr);
  EXPECT_EQ(figure(*finding(e, "swap"), "swap_bytes"), 32 * kMiB);
  EXPECT_EQ(problems(e), 0u);
  EXPECT_EQ(finding(with_counters("hugetlb=15M swap=15M"), "hugetlb"), nullptr);
  EXPECT_EQ(finding(with_counters("hugetlb=15M swap=15M"), "swap"), nullptr);
}

TEST(LockedMemory, IsAnAttributeBesideTheOwner) {
  const auto e = with_counters("locked=32M", 10000);
  const Finding* found = finding(e, "locked-memory");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 32 * kMiB);
  // The kernel counts mappings: how much of them is resident is not promised.
  EXPECT_EQ(found->headline, "mappings of 32.0 MiB are locked (mlock): up to 32.0 MiB (82 %) of RSS");
  EXPECT_NE(found->claim.find("unless locked on fault"), std::string::npos) << found->claim;
  EXPECT_EQ(found->confidence, Confidence::kMedium);
  EXPECT_NE(finding(e, "largest-owner"), nullptr);  // whose they are is said all the same, and first
  EXPECT_NE(&e.processes[0].findings.front(), found);
  EXPECT_EQ(finding(with_counters("locked=15M", 10000), "locked-memory"), nullptr);
  // Locked, and not brought in: all of RSS, and still whose it is comes first.
  const auto all = with_counters("locked=1G", 10000);
  EXPECT_EQ(finding(all, "locked-memory")->bytes, 10000 * kPageBytes);
  EXPECT_EQ(all.processes[0].findings.front().id, "largest-owner");
}

// Stacks of `stack_pages` with a guard below, whose threads have ended.
Explanation with_ended(int stacks, int stack_pages, int resident) {
  std::string vmas = "vmas 1\n  20+8192 rw-p\n", runs, scan = "20+100";
  for (int i = 0; i < stacks; ++i) {
    const int start = 0x10000 + i * 0x1000;
    vmas += fmt::format("  {:x}+1 ---p\n  {:x}+{} rw-p\n", start, start + 1, stack_pages);
    runs += fmt::format("  {:x}+{} ended\n", start + 1, stack_pages);
    scan += fmt::format(", {:x}+{}", start + 1 + stack_pages - resident, resident);
  }
  return told(c_program() + vmas + "@11 runtime-pages 1 glibc-threads\n" + runs + "@11 scan 1: " + scan +
              "\n");
}

TEST(ThreadLeak, MoreEndedStacksThanGlibcKeeps) {
  const auto e = with_ended(50, 2048, 100);
  EXPECT_EQ(pages(e, "thread.stacks.ended"), 5000u);
  const Finding* found = finding(e, "thread-leak");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(figure(*found, "ended_threads"), 50);
  EXPECT_EQ(figure(*found, "not_joined"), 45);
  EXPECT_EQ(found->recoverable_bytes, 4500 * kPageBytes);
  EXPECT_EQ(found->headline,
            "19.5 MiB (98 %) are stacks of threads that ended, at least 45 of 50 never joined");
  EXPECT_NE(found->claim.find("at least 45 of 50 stacks are of threads that were never joined"),
            std::string::npos)
      << found->claim;
  EXPECT_EQ(finding(e, "thread-stacks"), nullptr);
}

TEST(ThreadLeak, SilentForSpareStacks) {
  EXPECT_EQ(finding(with_ended(5, 2048, 2000), "thread-leak"), nullptr);
  EXPECT_EQ(finding(with_ended(6, 2048, 2000), "thread-leak"), nullptr);
  ASSERT_NE(finding(with_ended(7, 2048, 10), "thread-leak"),
            nullptr);  // leaked, and too little for a problem
  EXPECT_EQ(finding(with_ended(7, 2048, 10), "thread-leak")->kind, FindingKind::kExplains);
}

// Seven stacks of 7.8 MiB, five of which may be spare ones: 15.6 MiB are proven, and 16 MiB would be a problem.
TEST(ThreadLeak, SpareStacksMakeNoProblem) {
  const auto e = with_ended(7, 2048, 2000);
  ASSERT_NE(finding(e, "thread-leak"), nullptr);
  EXPECT_EQ(finding(e, "thread-leak")->kind, FindingKind::kExplains);
  EXPECT_EQ(finding(e, "thread-leak")->recoverable_bytes, 4000 * kPageBytes);
  EXPECT_EQ(problems(e), 0u);
}

// 4 stacks of 8 MiB, each of whose threads uses the last 2 pages; threads and mappings that are none of these before them.
Explanation with_stacks(const std::string& resident, const std::string& other_threads = "",
                        const std::string& other_vmas = "", const std::string& other_pages = "",
                        const std::string& after = "") {
  std::string threads = "threads 1" + other_threads, vmas = "vmas 1\n" + other_vmas, scan = other_pages;
  for (int i = 1; i <= 4; ++i) {
    const int end = 0x10000 * i + 0x800;
    threads += fmt::format(" {}:{:#x}:{:#x}", i, (uint64_t(end) << 12) - 8192, (uint64_t(end) << 12) - 2304);
    vmas += fmt::format("  {:x}+1 ---p\n  {:x}+2048 rw-p\n", end - 2049, end - 2048);
    scan += fmt::format("{}{:x}+{}", scan.empty() ? "" : ", ", end - 2048, resident);
  }
  return told(c_program() + threads + "\n" + vmas + "@11 scan 1: " + scan + "\n" + after);
}

// Threads that use 8 KiB of each: what makes all of it resident is the lock.
TEST(ThreadStacks, LockedAsAWhole) {
  const auto e = with_stacks("2048", "", "", "", "@11 counters 1 anon=32M locked=40M\n");
  const Finding* found = finding(e, "thread-stacks");
  ASSERT_NE(found, nullptr);
  EXPECT_NE(found->headline.find("are thread stacks, locked as a whole (mlockall)"), std::string::npos)
      << found->headline;
  EXPECT_NE(found->remedy.find("MCL_ONFAULT"), std::string::npos) << found->remedy;
  EXPECT_EQ(figure(*found, "used_bytes"), 4 * 8192);
  const auto other = with_stacks("2048", "", "", "", "@11 counters 1 anon=32M locked=20M\n");
  EXPECT_NE(finding(other, "thread-stacks")->remedy.find("Run fewer threads"), std::string::npos);
}

TEST(HugePages, StacksThatAreNotUsed) {
  const auto e = with_stacks("2048 huge");
  const Finding* found = finding(e, "huge-pages");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 32 * kMiB);
  EXPECT_EQ(found->recoverable_bytes, 32 * kMiB - 4 * 8192);
  EXPECT_EQ(figure(*found, "used_each_bytes"), 8192);
  // Resident by themselves: deep, but not because of huge pages.
  EXPECT_EQ(finding(with_stacks("2048"), "huge-pages"), nullptr);
}

// The main thread is deep in [stack], which is no stack of threads: it uses nothing of them.
TEST(HugePages, TheMainThreadUsesNoneOfThem) {
  const auto e = with_stacks("2048 huge", " 9:0x2001000:0", "  1000+16384 rw-p [stack]\n", "1000+2000");
  const Finding* found = finding(e, "huge-pages");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(figure(*found, "used_bytes"), 4 * 8192);
}

// 4 MiB that were 400: the kernel knows the peak, a scan near it what it was.
Explanation with_peak(const std::string& counters, const std::string& first_pages) {
  return told(c_program() + fmt::format(R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  900000+200000 rw-p
{}
@12 scan 1: 400+16 file, 900000+{}
@30 scan 1: 400+16 file, 900000+1008
)",
                                        counters, first_pages));
}

TEST(TransientSpike, BeforeMemwhyAttached) {
  const auto e = with_peak(
      "@11 counters 1 anon=4M file=64K peak=400M\n@29 counters 1 anon=4M file=64K peak=400M", "1008");
  const Finding* found = finding(e, "transient-spike");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 0u) << "nothing of it is resident";
  EXPECT_EQ(figure(*found, "peak_bytes"), static_cast<double>(400 * kMiB));
  EXPECT_EQ(found->claim, "RSS of c is 4.0 MiB and was 400.0 MiB at its peak, before the first reading.");
  EXPECT_EQ(found->evidence.at(1), "what it was is unknown: no scan was near the peak");
}

TEST(TransientSpike, DuringTheRecording) {
  const auto e = with_peak(
      "@11 counters 1 anon=4M file=64K peak=4160K\n@12 counters 1 anon=400M peak=400M\n@29 counters 1 "
      "anon=4M "
      "peak=400M",
      "100000");
  const Finding* found = finding(e, "transient-spike");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->claim,
            "RSS of c is 4.0 MiB and was 400.0 MiB at its peak, during the recording, 17 s before its end.");
  EXPECT_EQ(found->evidence.at(1),
            "a scan saw 390.7 MiB, of which 386.7 MiB are gone from anon.before_attach");
}

TEST(TransientSpike, SilentForAPeakThatIsNear) {
  const auto e = with_peak("@11 counters 1 anon=4M peak=16M\n@29 counters 1 anon=4M peak=16M", "1008");
  EXPECT_EQ(finding(e, "transient-spike"), nullptr);
}

// The shadow of AddressSanitizer ends where only its does; and what its malloc gave out.
Explanation sanitized(int shadow_pages, int heap_pages) {
  return told(c_program() + fmt::format(R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  10007bff8+16384 rw-p
  600000000+20000 rw-p
  7f0000000+20000 rw-p
@11 runtime-pages 1 sanitizer
  10007bff8+{0} tables
  600000000+{1} unread
scan 1: 400+16 file, 10007bff8+{0}, 600000000+{1}, 7f0000000+100
)",
                                        shadow_pages, heap_pages));
}

TEST(InstrumentedBuild, ByTheShadowOfTheTool) {
  const auto e = sanitized(8192, 16384);
  const Finding* found = finding(e, "instrumented-build");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->claim,
            "96.0 MiB (100 %) of c's memory are AddressSanitizer's: the program was built with "
            "-fsanitize=address.");
  EXPECT_EQ(found->recoverable_bytes, 32 * kMiB) << "the program needs blocks without it, too";
  EXPECT_EQ(&e.processes[0].findings.front(), found);
}

TEST(InstrumentedBuild, ASmallShadowExplains) {
  EXPECT_EQ(finding(sanitized(2048, 16384), "instrumented-build")->kind, FindingKind::kExplains);
  EXPECT_EQ(finding(sanitized(20, 40), "instrumented-build"), nullptr) << "most of it is the program's";
}

// Of 128 MiB that were there at a fork 96 were written since.
TEST(UnsharedByFork, WhatOthersStillMap) {
  const auto with = [](const std::string& shared) {
    return told(c_program() + "vmas 1\n  900000+40000 rw-p\n@11 scan 1 " + shared + ": 900000+33000\n");
  };
  const auto e = with("shared=32M own=96M by=9");
  const Finding* found = finding(e, "unshared-by-fork");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 96 * kMiB);
  EXPECT_EQ(found->claim,
            "96.0 MiB (74 %) of c's memory are its own copies, or came, since a fork; 32.0 MiB of the same "
            "mappings are still shared with 8 other processes.");
  EXPECT_EQ(&e.processes[0].findings.front(), found) << "it is most of the memory";
  EXPECT_NE(with("shared=90M own=38M by=9").processes[0].findings.front().id, "unshared-by-fork")
      << "an aside";
  EXPECT_EQ(finding(with(""), "unshared-by-fork"), nullptr) << "not told";
  EXPECT_EQ(finding(with("shared=0 own=0"), "unshared-by-fork"), nullptr) << "nobody else maps it";
  EXPECT_EQ(finding(with("shared=100M own=1M by=2"), "unshared-by-fork"), nullptr) << "most is shared";
}

TEST(SharedMemory, WithHowManyOthers) {
  const auto e = told(c_program() +
                      "vmas 1\n  900000+40000 rw-s /memfd:x inode=9 shmem\n@11 scan 1 shared=0 memory=128M "
                      "memory_by=6: 900000+33000\n");
  EXPECT_EQ(finding(e, "shared-memory")->claim,
            "Shared memory holds 128.9 MiB (100 %) of c's memory, shared with 5 other processes.");
}

}  // namespace
}  // namespace memwhy::explain
