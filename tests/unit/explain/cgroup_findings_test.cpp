// SPDX-License-Identifier: Apache-2.0
// The container: which cgroup limits a process, and what is found about it. Each finding with its healthy twin.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/go_script.h"
#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// A C program of 40 MiB in /pod/web, and what is told of its cgroup after that.
std::string in_a_cgroup(const std::string& more, const std::string& counters = "anon=40M") {
  return R"(
@10 info what="cgroup /pod"
anchor
binary b1 /bin/c inode=7
attach 1 pid=5 comm=c exe=/bin/c binary=b1 cgroup=/pod/web
symbol 1 0x400100 binary=b1 main.grow@main.c:7
symbol 1 0x400200 binary=b1 main.other@main.c:9
stack s1 1 0x400100
stack s2 1 0x400200
vmas 1
  400+16 r-xp /bin/c inode=7
  900000+16384 rw-p
@11 scan 1: 400+10 file, 900000+10240
@11 counters 1 )" +
         counters + "\n" + more;
}

const CgroupSummary& cgroup(const Explanation& e) { return *e.processes.at(0).cgroup_memory; }

TEST(Cgroup, TheOneAboveWithLessRoomLimits) {
  const auto e = told(in_a_cgroup(R"(
@11 cgroup /pod/web v2 usage=100M limit=500M
@11 cgroup /pod v2 usage=480M limit=512M kernel=20M
@11 cgroup /other v2 usage=99M limit=100M
)"));
  EXPECT_EQ(cgroup(e).memory.path, "/pod");
  EXPECT_EQ(cgroup(e).room_bytes(), 32 * kMiB);
}

TEST(Cgroup, WithoutALimitItsOwn) {
  const auto e = told(in_a_cgroup("@11 cgroup /pod/web usage=100M\n@11 cgroup / usage=900M\n"));
  EXPECT_EQ(cgroup(e).memory.path, "/pod/web");
  EXPECT_EQ(cgroup(e).room_bytes(), std::nullopt);
  EXPECT_EQ(problems(e), 0u);
}

TEST(Cgroup, NothingIsKnownOfRecordingsWithoutIt) {
  EXPECT_FALSE(told(in_a_cgroup("")).processes.at(0).cgroup_memory);
}

TEST(Cgroup, TheContainerThatWasAskedFor) {
  const auto e = told(in_a_cgroup(R"(
@12 attach 2 pid=6 comm=worker cgroup=/pod/worker
@12 counters 2 anon=30M file=1M
@12 attach 3 pid=7 comm=else cgroup=/podium
@12 counters 3 anon=90M
@12 attach 4 pid=8 comm=gone cgroup=/pod
@12 counters 4 anon=9M
@13 space-end 4 exited
@13 cgroup /pod v2 usage=100M anon=60M file=20M kernel=10M sock=1M
@13 cgroup / v2 usage=300M limit=320M
)"));
  ASSERT_TRUE(e.container);
  EXPECT_EQ(e.container->own.memory.path, "/pod");
  EXPECT_EQ(e.container->limits->memory.path, "/");
  ASSERT_EQ(e.container->processes.size(), 2u);
  EXPECT_EQ(e.container->processes[0].pid, 5);
  EXPECT_EQ(e.container->processes[1].pid, 6);
  EXPECT_EQ(e.container->other_anon_bytes, -10 * static_cast<int64_t>(kMiB));  // 70 MiB, 10 of them shared
  EXPECT_EQ(e.container->own.memory.untold_bytes(), 9 * static_cast<int64_t>(kMiB));
}

// 40 readings in 40 s, from 300 MiB on; the process has its own part of what comes.
std::string rising(uint64_t kib_each, uint64_t own_kib = 0) {
  std::string script;
  for (uint64_t i = 0; i <= 40; ++i)
    script += fmt::format("@{} cgroup /pod/web v2 usage={}K limit=512M\ncounters 1 anon={}K file=40K\n",
                          11 + i, 300 * 1024 + i * kib_each, 40 * 1024 + i * own_kib);
  return script + fmt::format("@52 scan 1: 400+10 file, 900000+{}\n", (40 * 1024 + 40 * own_kib) / 4);
}

TEST(NearLimit, WhenItIsReachedAtThisRate) {
  const auto e = told(in_a_cgroup(rising(2048)));
  const Finding* found = finding(e, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_NEAR(figure(*found, "reached_in_seconds"), 66, 0.5);  // 132 MiB at 2 MiB/s
  EXPECT_NEAR(figure(*found, "earliest_seconds"), 66, 0.5);
  EXPECT_NEAR(figure(*found, "latest_seconds"), 66, 0.5);
  EXPECT_EQ(figure(*found, "left_bytes"), 132.0 * kMiB);
  EXPECT_NE(found->claim.find("in about 66 s (66 s to 66 s)"), std::string::npos) << found->claim;
  EXPECT_EQ(e.processes[0].verdict.kind, VerdictKind::kProblem);
}

TEST(NearLimit, TheErrorIsThatOfItsQuarters) {
  std::string script;
  uint64_t kib = 300 * 1024;
  for (uint64_t i = 0; i <= 40; ++i) {
    script += fmt::format("@{} cgroup /pod/web v2 usage={}K limit=512M\n", 11 + i, kib);
    kib += i / 10 % 2 == 0 ? 1024 : 3072;
  }
  const auto e = told(in_a_cgroup(script));
  const Finding* found = finding(e, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_NEAR(figure(*found, "earliest_seconds"), 132 / 3.0, 1);
  // Its quarters begin where it is seen to rise, 2 s after the first reading.
  EXPECT_GT(figure(*found, "latest_seconds"), 110);
  EXPECT_LE(figure(*found, "latest_seconds"), 132);
  EXPECT_GT(figure(*found, "reached_in_seconds"), figure(*found, "earliest_seconds"));
  EXPECT_LT(figure(*found, "reached_in_seconds"), figure(*found, "latest_seconds"));
}

TEST(NearLimit, SilentWhereItStandsStillOrHasRoom) {
  EXPECT_EQ(finding(told(in_a_cgroup(rising(0))), "near-limit"), nullptr);
  // It would take days.
  EXPECT_EQ(finding(told(in_a_cgroup(rising(1))), "near-limit"), nullptr);
}

// Not asked for as a whole: whose memory it is that grows decides.
TEST(NearLimit, OfANeighbourIsNoProblemOfThisProcess) {
  const auto alone = [](const std::string& more) {
    std::string script = in_a_cgroup(more);
    return told(script.replace(script.find("cgroup /pod"), 11, "pid 5"));
  };
  const auto neighbours = alone(rising(600));
  const Finding* found = finding(neighbours, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->evidence.at(2), "RSS of c did not rise in that time");
  const auto own = alone(rising(600, 512));
  ASSERT_NE(finding(own, "near-limit"), nullptr);
  EXPECT_EQ(finding(own, "near-limit")->kind, FindingKind::kProblem);
}

TEST(NearLimit, PageCacheThatGrowsIsNoneOfIt) {
  std::string script;
  for (uint64_t i = 0; i <= 40; ++i)
    script += fmt::format("@{} cgroup /pod/web v2 usage={}M limit=512M file={}M reclaimable={}M\n", 11 + i,
                          420 + 2 * i, 200 + 2 * i, 200 + 2 * i);
  EXPECT_EQ(finding(told(in_a_cgroup(script)), "near-limit"), nullptr);
}

TEST(NearLimit, FullAndStillIsNoProblem) {
  const auto e = told(in_a_cgroup(
      "@11 cgroup /pod/web v2 usage=500M limit=512M\n@40 cgroup /pod/web v2 usage=500M limit=512M\n"));
  const Finding* found = finding(e, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(problems(e), 0u);
}

TEST(NearLimit, SaysOfARiseOnlyWhatWasSeen) {
  const auto claim = [](const std::string& last) {
    const auto e = told(in_a_cgroup("@11 cgroup /pod/web v2 usage=500M limit=512M\n" + last));
    return finding(e, "near-limit")->claim;
  };
  const auto ends = [](const std::string& text, const std::string& end) { return text.ends_with(end); };
  const std::string still = claim("@51 cgroup /pod/web v2 usage=500M limit=512M\n");
  EXPECT_TRUE(ends(still, "12.0 MiB are left, and it did not rise in 40 s.")) << still;
  const std::string rose = claim("@51 cgroup /pod/web v2 usage=502M limit=512M\n");
  EXPECT_TRUE(ends(rose, "10.0 MiB are left, and it rose by 2.0 MiB in 40 s.")) << rose;
  const std::string brief = claim("@12 cgroup /pod/web v2 usage=500M limit=512M\n");
  EXPECT_TRUE(ends(brief, "12.0 MiB are left.")) << brief;
  const std::string down =
      claim("@31 cgroup /pod/web v2 usage=505M limit=512M\n@51 cgroup /pod/web v2 usage=500M limit=512M\n");
  EXPECT_TRUE(ends(down, "12.0 MiB are left.")) << down;
}

// 4 s of 30 waited for, where memory.high was hit; not where nobody hit a limit (the machine's want), nor for 1 s of 30.
TEST(NearLimit, TasksThatWaitAtMemoryHigh) {
  const auto told_of = [](const std::string& last) {
    return told(
        in_a_cgroup("@11 cgroup /pod/web v2 usage=200M high=200M high_events=5 some_us=1000000\n@41 cgroup "
                    "/pod/web v2 usage=200M high=200M " +
                    last + "\n"));
  };
  const auto e = told_of("high_events=905 some_us=5000000");
  const Finding* found = finding(e, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_NEAR(figure(*found, "waited_seconds"), 4, 0.001);
  EXPECT_NEAR(figure(*found, "watched_seconds"), 30, 0.001);
  EXPECT_EQ(figure(*found, "hits"), 900);
  EXPECT_EQ(figure(*found, "high_bytes"), 200.0 * kMiB);
  EXPECT_EQ(finding(told_of("high_events=5 some_us=5000000"), "near-limit"), nullptr);
  EXPECT_EQ(finding(told_of("high_events=905 some_us=2000000"), "near-limit"), nullptr);
}

// A wait that began before the first reading is counted when it is over; and two readings of one moment show no share of time.
TEST(NearLimit, NobodyWaitsLongerThanTheRecordingIs) {
  const auto told_at = [](int second) {
    return told(in_a_cgroup(fmt::format(
        "@11 cgroup /pod/web v2 usage=200M high=200M high_events=5 some_us=0\n@{} cgroup /pod/web "
        "v2 usage=200M high=200M high_events=9 some_us=31000000\n",
        second)));
  };
  const auto e = told_at(41);
  const Finding* found = finding(e, "near-limit");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->headline,
            "the container is at its memory.high of 200.0 MiB, and waits for memory 100 % of the time");
  EXPECT_EQ(figure(*found, "waited_seconds"), 30);
  EXPECT_EQ(finding(told_at(11), "near-limit"), nullptr);
}

TEST(NearLimit, SwapIsACaveatWhereItMayBeUsed) {
  const auto against = [](const std::string& swap) {
    return finding(told(in_a_cgroup("@11 cgroup /pod/web v2 usage=500M limit=512M " + swap + "\n")),
                   "near-limit")
        ->against;
  };
  EXPECT_TRUE(against("swap=0 swap_limit=0").empty());
  EXPECT_EQ(against("swap=0").size(), 1u);
  EXPECT_EQ(against("swap=3M").at(0), "3.0 MiB are in swap: more may go there");
}

TEST(CgroupPageCache, NoWordOfKillsThatAreNotCounted) {
  const auto hit = [](const std::string& kills) {
    std::string script;
    for (const int second : {11, 12})
      script += fmt::format("@{} cgroup /pod/web usage=500M limit=512M reclaimable=440M max_events={} {}\n",
                            second, second, kills);
    return finding(told(in_a_cgroup(script)), "cgroup-page-cache")->evidence.at(1);
  };
  EXPECT_EQ(hit(""), "the limit was hit 1 times during the recording");
  EXPECT_EQ(hit("kills=0"), "the limit was hit 1 times during the recording, and no process killed for it");
}

TEST(CgroupPageCache, MostOfTheUsageIsTakenBack) {
  const auto e =
      told(in_a_cgroup("@11 cgroup /pod/web v2 usage=500M limit=512M anon=40M file=450M reclaimable=440M "
                       "dirty=1M max_events=3\n"
                       "@12 cgroup /pod/web v2 usage=500M limit=512M anon=40M file=450M reclaimable=440M "
                       "dirty=1M max_events=8\n"));
  const Finding* found = finding(e, "cgroup-page-cache");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(figure(*found, "page_cache_bytes"), 440.0 * kMiB);
  EXPECT_EQ(figure(*found, "held_bytes"), 60.0 * kMiB);
  EXPECT_NE(found->evidence.at(1).find("hit 5 times"), std::string::npos) << found->evidence.at(1);
  EXPECT_EQ(problems(e), 0u);
  EXPECT_NE(finding(e, "largest-owner"), nullptr);  // it says nothing of RSS
}

TEST(CgroupPageCache, SilentWhereItIsSharedMemoryOrLittleOrUnlimited) {
  for (const char* told_of :
       {"usage=500M limit=512M file=450M shmem=440M reclaimable=10M", "usage=500M file=450M reclaimable=440M",
        "usage=200M limit=512M file=150M reclaimable=140M"})
    EXPECT_EQ(
        finding(told(in_a_cgroup(fmt::format("@11 cgroup /pod/web v2 {}\n", told_of))), "cgroup-page-cache"),
        nullptr)
        << told_of;
}

TEST(CgroupKernelMemory, ItsPartsAreNamed) {
  const auto e =
      told(in_a_cgroup("@11 cgroup /pod/web v2 usage=200M anon=40M kernel=130M slab=100M "
                       "slab_reclaimable=90M tables=20M sock=20M\n"));
  const Finding* found = finding(e, "cgroup-kernel-memory");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(figure(*found, "kernel_bytes"), 150.0 * kMiB);
  EXPECT_EQ(found->evidence.at(0), "slab 100.0 MiB, page tables 20.0 MiB, socket buffers 20.0 MiB");
  EXPECT_EQ(found->against.at(0),
            "90.0 MiB of the slab are caches (dentries, inodes) that the kernel takes back");
}

TEST(CgroupKernelMemory, IsNoMoreThanAllOfIt) {
  const auto e = told(in_a_cgroup("@11 cgroup /pod/web v2 usage=20M reclaimable=20M kernel=20M\n"));
  ASSERT_NE(finding(e, "cgroup-kernel-memory"), nullptr);
  EXPECT_NE(finding(e, "cgroup-kernel-memory")->claim.find(", 100 % of"), std::string::npos);
}

// 40 MiB of the process: all that is there, three quarters, and less.
TEST(CgroupKernelMemory, SilentWhereMuchElseLives) {
  const auto said_beside = [](const char* anon, bool asked) {
    std::string script =
        in_a_cgroup(fmt::format("@11 cgroup /pod/web v2 usage=400M anon={} kernel=130M\n", anon));
    if (!asked)
      script
          .erase(script.find(R"(info what="cgroup /pod")"), std::string(R"(info what="cgroup /pod")").size())
          .insert(script.find("@10") + 3, " info");
    return finding(told(script), "cgroup-kernel-memory") != nullptr;
  };
  EXPECT_TRUE(said_beside("40M", false));
  EXPECT_TRUE(said_beside("53M", false));
  EXPECT_FALSE(said_beside("54M", false));
  EXPECT_TRUE(said_beside("200M", true));
}

TEST(CgroupKernelMemory, SilentWhereItIsLittle) {
  EXPECT_EQ(finding(told(in_a_cgroup("@11 cgroup /pod/web v2 usage=200M anon=180M kernel=20M\n")),
                    "cgroup-kernel-memory"),
            nullptr);
  EXPECT_EQ(
      finding(told(in_a_cgroup("@11 cgroup /pod/web v2 usage=16M kernel=15M\n")), "cgroup-kernel-memory"),
      nullptr);
}

constexpr const char* kKilled = R"(
@11 cgroup /pod/web usage=50M limit=64M max_events=0 kills=0
@14 counters 1 anon=58M
@14.2 cgroup /pod/web usage=62M limit=64M max_events=0 kills=0
@15 oom 1 pid=5
@15.04 table 1: 902800+4000 s1 @14.5 w, 903800+10 s2 @14.6 w
@15.05 cgroup /pod/web usage=3M limit=64M max_events=20 kills=1
@15.1 exit 1 pid=5 code=9
@15.1 space-end 1 exited
)";

TEST(OomKill, TheLastPictureOfTheVictim) {
  const auto e = told(in_a_cgroup(kKilled));
  const Finding& found = e.processes.at(0).findings.front();
  EXPECT_EQ(found.id, "oom-kill");
  EXPECT_EQ(found.kind, FindingKind::kProblem);
  EXPECT_EQ(
      found.claim,
      "The kernel killed c, because its container reached the limit of 64.0 MiB; it had 58.0 MiB then.");
  ASSERT_EQ(found.evidence.size(), 6u);
  EXPECT_EQ(found.evidence[0], "1.0 s before it was killed its RSS was 58.0 MiB");
  EXPECT_EQ(found.evidence[1], "0.8 s before, /pod/web used 62.0 MiB of 64.0 MiB");
  EXPECT_EQ(found.evidence[2], "that cgroup counted 1 killed during the recording");
  EXPECT_EQ(found.evidence[3],
            "the ledger is of the scan 4.0 s before, with 40.0 MiB: 18.0 MiB came after it");
  EXPECT_EQ(found.evidence[4],
            "since that scan main.grow (main.c:7) touched pages of 15.6 MiB for the first time");
  EXPECT_EQ(found.evidence[5],
            "since that scan main.other (main.c:9) touched pages of 40.0 KiB for the first time");
  EXPECT_NE(finding(e, "largest-owner"), nullptr);
}

TEST(OomKill, OfTheMachine) {
  const auto e = told(in_a_cgroup("@14 counters 1 anon=58M\n@15 oom 1 pid=5\n@15.1 space-end 1 exited\n"));
  EXPECT_EQ(finding(e, "oom-kill")->claim,
            "The kernel killed c, because memory ran out; it had 58.0 MiB then.");
}

// The limit is hit where page cache is given up, and the machine's want of memory is counted as a kill too.
TEST(OomKill, OfTheMachineInAContainerAtItsLimit) {
  const auto claim = [](const std::string& before, const std::string& after) {
    const auto e =
        told(in_a_cgroup(fmt::format("@11 cgroup /pod/web {}\n@14 counters 1 anon=58M\n@15 oom 1 pid=5\n"
                                     "@15.05 cgroup /pod/web {}\n@15.1 space-end 1 exited\n",
                                     before, after)));
    return finding(e, "oom-kill")->claim;
  };
  const std::string machine = "The kernel killed c, because memory ran out; it had 58.0 MiB then.";
  const std::string limit =
      "The kernel killed c, because its container reached the limit of 64.0 MiB; it had 58.0 MiB then.";
  const std::string full = "usage=63M limit=64M max_events=0 kills=0",
                    killed = "usage=3M limit=64M max_events=9";
  EXPECT_EQ(claim("v2 oom_events=2 " + full, "v2 oom_events=2 kills=1 " + killed), machine);
  EXPECT_EQ(claim("v2 oom_events=2 " + full, "v2 oom_events=3 kills=1 " + killed), limit);
  EXPECT_EQ(claim("v2 " + full, "v2 kills=1 " + killed), machine);  // not counted
  EXPECT_EQ(claim(full, "kills=1 " + killed), limit);
  EXPECT_EQ(claim(full, "kills=0 " + killed), machine);
  EXPECT_EQ(claim("usage=50M limit=64M max_events=0 kills=0", "kills=1 " + killed), machine);
  EXPECT_EQ(claim(full, "usage=3M limit=64M max_events=0 kills=1"), limit);  // hits lag behind
}

TEST(OomKill, SilentForOneThatExits) {
  EXPECT_EQ(finding(told(in_a_cgroup("@15.1 exit 1 pid=5 code=9\n@15.1 space-end 1 exited\n")), "oom-kill"),
            nullptr);
}

// 512 MiB of limit: 340 MiB held, of which the Go heap's 256 MiB (65536 pages) are Go's: 84 MiB are not. Page cache: a
// twentieth, 25.6 MiB.
std::string remedy_with_limit(int mib, const std::string& collected) {
  const std::string counters = "in_use=256M goal=512M gogc=off " + collected;
  std::string script =
      go_program("go1.26.8") + "@10.5 attach 1 pid=5 comm=app exe=/srv/app binary=b1 cgroup=/pod\n";
  for (int i = 0; i < 4; ++i) {
    script += fmt::format("@{} cgroup /pod v2 usage=400M limit={}M reclaimable=60M\n", 11 + 10 * i, mib);
    script += moment(11 + 10 * i, "c000000+65536 heap live=1M dead=255M", "c000000+65536", "", counters);
  }
  const auto e = told(script);
  const Finding* found = finding(e, "gc-headroom");
  return found == nullptr ? "" : found->remedy;
}

TEST(GoMemoryLimit, WhatTheLimitLeaves) {
  EXPECT_THAT(remedy_with_limit(512, "live=16M gc=0"),
              ::testing::HasSubstr(
                  "For this container GOMEMLIMIT=402MiB fits: its limit of 512.0 MiB without 84.0 MiB "
                  "that are not Go's, and 25.6 MiB for page cache."));
}

// Before the first collection all of the heap may be in use.
TEST(GoMemoryLimit, WhatNoCollectionHasLookedAtMayBeInUse) {
  EXPECT_THAT(
      remedy_with_limit(400, "live=0 gc=0"),
      ::testing::HasSubstr("no GOMEMLIMIT is known to fit: its limit of 400.0 MiB without 84.0 MiB that are "
                           "not Go's, and 20.0 MiB for page cache leave 296.0 MiB, and 256.0 MiB of the "
                           "heap may be in use."));
  EXPECT_THAT(remedy_with_limit(400, "live=16M gc=1"), ::testing::HasSubstr("GOMEMLIMIT=296MiB fits"));
  EXPECT_THAT(remedy_with_limit(84, "live=0 gc=1"), ::testing::HasSubstr("no GOMEMLIMIT fits"));
}

}  // namespace
}  // namespace memwhy::explain
