// SPDX-License-Identifier: Apache-2.0
// "No problem" is earned: by time, without gaps, and over two collections of a heap that allocates.
#include <gmock/gmock.h>

#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kProgram =
    "@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\nvmas 1\n  400+16 r-xp /bin/c "
    "inode=7\n  10000000+100000 rw-p\n";

// Pages of an anonymous mapping at these seconds after attach.
Verdict of_pages(const std::vector<std::pair<int, int>>& scans) {
  std::string script = kProgram;
  for (const auto& [seconds, pages] : scans)
    script += fmt::format("@{} scan 1: 400+3 file, 10000000+{}\n", 11 + seconds, pages);
  return told(script).processes.at(0).verdict;
}

TEST(Verdict, NoProblemNeedsTime) {
  const Verdict soon = of_pages({{0, 20000}, {3, 20000}, {6, 20000}, {9, 20000}});
  EXPECT_EQ(soon.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_EQ(soon.reason, "memwhy watched for 9.0 s, growth shows from 20 s on");
  EXPECT_DOUBLE_EQ(*soon.seconds_more, 11);
  std::string almost = kProgram;
  for (const char* at : {"11", "20", "30.7"})
    almost += fmt::format("@{} scan 1: 400+3 file, 10000000+9\n", at);
  const Verdict verdict = told(almost).processes.at(0).verdict;
  EXPECT_EQ(verdict.reason, "memwhy watched for 19 s, growth shows from 20 s on") << "not: for 20 s";
  EXPECT_DOUBLE_EQ(*verdict.seconds_more, 1);
  const Verdict late = of_pages({{0, 20000}, {10, 20000}, {20, 20000}, {30, 20000}});
  EXPECT_EQ(late.kind, VerdictKind::kNoProblem);
  EXPECT_EQ(late.reason, "");
  EXPECT_NEAR(*late.seen_from_bytes_per_s, 16.0 * (1 << 20) / 30, 1);
}

// The reason is the one that says most, the time the longest.
TEST(Verdict, AStartSaysWhatIsRising) {
  const Verdict verdict = of_pages({{0, 2000}, {2, 8000}, {4, 14000}, {6, 20000}, {8, 26000}});
  EXPECT_EQ(verdict.reason, "it grew by 93.8 MiB in 8.0 s and goes on");
  EXPECT_DOUBLE_EQ(*verdict.seconds_more, 12);
}

TEST(Verdict, AGapHidesWhatHappened) {
  const Verdict verdict = of_pages({{0, 20000}, {1, 20000}, {2, 20000}, {59, 20000}, {60, 20000}});
  EXPECT_EQ(verdict.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_EQ(verdict.reason, "nothing was read for 57 s of 60 s");
  EXPECT_EQ(verdict.seconds_more, std::nullopt);
}

TEST(Verdict, AProblemIsOne) {
  EXPECT_EQ(of_pages({{0, 2000}, {10, 8000}, {20, 14000}, {30, 20000}}).kind, VerdictKind::kProblem);
}

TEST(Verdict, SlowGrowthSaysHowLongItNeeds) {
  // 6 MiB in 30 s: 16 MiB in 80.
  const Verdict verdict = of_pages({{0, 2000}, {10, 2512}, {20, 3024}, {30, 3536}});
  EXPECT_EQ(verdict.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_EQ(verdict.reason, "it grew by 6.0 MiB in 30 s and goes on");
  EXPECT_NEAR(*verdict.seconds_more, 50, 0.5);
}

TEST(Verdict, OneToothIsNoSawTooth) {
  const Verdict verdict =
      of_pages({{0, 40000}, {5, 40000}, {10, 2000}, {15, 10000}, {20, 18000}, {25, 26000}, {30, 34000}});
  EXPECT_EQ(verdict.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_EQ(verdict.reason, "it grew by 125.0 MiB since it fell 20 s ago");
}

TEST(Verdict, AnEndThatIsTooYoung) {
  // Rose for some 25 s, and stands still for 5.
  const Verdict verdict = of_pages(
      {{0, 2000}, {5, 7000}, {10, 12000}, {15, 17000}, {20, 22000}, {25, 27000}, {28, 27000}, {32, 27000}});
  EXPECT_EQ(verdict.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_THAT(verdict.reason, StartsWith("it grew by 97.7 MiB until "));
  EXPECT_GT(*verdict.seconds_more, 10);
}

// Each of two owners grows by less than a problem, both together by more.
TEST(RssGrowth, ThroughSeveralOwnersAtOnce) {
  const auto grown = [](int more) {
    std::string script = kProgram +
                         "vmas 1\n  400+16 r-xp /bin/c inode=7\n  10000000+100000 rw-p\n"
                         "  555500000+65536 rw-p [heap]\n";
    for (int i = 0; i < 4; ++i)
      script += fmt::format("@{} scan 1: 400+3 file, 10000000+{}, 555500000+{}\n", 11 + 10 * i,
                            1000 + i * more, 1000 + i * more);
    return told(script);
  };
  const auto e = grown(900);
  EXPECT_EQ(problems(e), 1u);
  const Finding* found = finding(e, "rss-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 2 * 3 * 900 * kPageBytes);
  EXPECT_EQ(found->owners.size(), 2u);
  EXPECT_EQ(problems(grown(0)), 0u);
  EXPECT_EQ(problems(grown(600)), 0u) << "14 MiB";
  // What a cause speaks of is not told again.
  EXPECT_EQ(finding(grown(3000), "rss-growth")->bytes, 3 * 3000 * kPageBytes);
}

// A Go heap that stays, with these collections; `mib` allocated each 10 s.
Verdict of_go(int collections, int mib, const std::string& more = "gogc=100") {
  std::string script = go_program("go1.26.8");
  for (int i = 0; i < 4; ++i)
    script += moment(11 + 10 * i, "c000000+25600 heap live=92M dead=8M", "c000000+25600", "",
                     fmt::format("in_use=100M live=60M goal=120M allocated={}M freed=900M gc={} {}",
                                 980 + i * mib, 9 + i * collections, more));
  return told(script).processes.at(0).verdict;
}

TEST(Verdict, TwoCollectionsOfAHeapThatAllocates) {
  EXPECT_EQ(of_go(1, 4).kind, VerdictKind::kNoProblem);
  EXPECT_EQ(of_go(0, 0).kind, VerdictKind::kNoProblem) << "what does not allocate does not leak";
  const Verdict none = of_go(0, 4);
  EXPECT_EQ(none.kind, VerdictKind::kNotSeenLongEnough);
  // 92 of 120 MiB, at 0.4 MiB/s; and as long as from 60 to 120 MiB, two minutes at most.
  EXPECT_EQ(none.reason,
            "no collection was seen, of 2 that show growth; the next is due in about 70 s at this rate");
  EXPECT_NEAR(*none.seconds_more, 70 + 120, 1);
  const Verdict off = of_go(0, 4, "gogc=off");
  EXPECT_EQ(off.kind, VerdictKind::kNotSeenLongEnough);
  EXPECT_THAT(off.reason, HasSubstr("collector is off"));
}

TEST(Verdict, OfAProcessThatEndedNothingMoreIsToBeSeen) {
  const auto e = told(kProgram + "@11 scan 1: 400+3 file, 10000000+20000\n@12 exit 1 code=0\n");
  EXPECT_EQ(e.processes.at(0).verdict.kind, VerdictKind::kNotSeenLongEnough);
}

}  // namespace
}  // namespace memwhy::explain
