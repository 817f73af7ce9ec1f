// SPDX-License-Identifier: Apache-2.0
// Two recordings of one program side by side, and limits.
#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "explain/compare/difference.h"
#include "explain/compare/limits.h"
#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

// A build of web: `load` of its pages are by load(), `line` is where that stands, `code` of its file's are resident.
std::string web(int load, int line, int code, const std::string& build, const std::string& exe = "/srv/web") {
  return fmt::format(R"(
@1000 info tool=0 host=h kernel=k arch=x86_64 cpus=2 what="pid 7"
anchor
binary b1 {3} inode=7 device=1 build={4}
attach 1 pid=7 comm=web exe={3} binary=b1
vmas 1
  400+512 r-xp {3} inode=7 device=1
  1000+65536 rw-p
scan 1: 1000+8
stack s1 1 0x401000
symbol 1 0x401000 binary=b1 load@web.c:{1}
stack s2 1 0x402000
symbol 1 0x402000 binary=b1 "core::grow::h0123456789abcdef"@core.rs:3
@1005 table 1: 1008+{0} s1 @1003 w, 9000+4 s2 @1003 w
@1006 scan 1: 400+{2} file, 1000+{5}, 9000+4
recording-end stopped
)",
                     load, line, code, exe, build, load + 8);
}

int64_t sum(const ChangedAspect& aspect) {
  return std::accumulate(aspect.lines.begin(), aspect.lines.end(), aspect.rest,
                         [](int64_t sum, const ChangedLine& line) { return sum + line.change(); });
}

const ChangedAspect* aspect_of(const ProgramDifference& all, Aspect wanted) {
  for (const ChangedAspect& each : all.aspects)
    if (each.aspect == wanted) return &each;
  return nullptr;
}

constexpr auto kPage = static_cast<int64_t>(kPageBytes);

TEST(Difference, EachAspectSumsToTheDifferenceOfRss) {
  const auto all = difference(told(web(100, 44, 20, "aa")), told(web(612, 47, 24, "bb")));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].rss_change(), (512 + 4) * kPage);
  EXPECT_FALSE(all[0].same_build);
  for (const ChangedAspect& aspect : all[0].aspects) EXPECT_EQ(sum(aspect), (512 + 4) * kPage);
  const ChangedAspect* owners = aspect_of(all[0], Aspect::kOwner);
  ASSERT_NE(owners, nullptr);
  EXPECT_EQ(owners->rest, 0);
  ASSERT_EQ(owners->lines.size(), 2U);
  EXPECT_EQ(owners->lines[0].name, "anon.other");
  EXPECT_EQ(owners->lines[0].change(), 512 * kPage);
  EXPECT_EQ(owners->lines[1].name, "file.text");
}

TEST(Difference, FunctionsAreTheSameInAnotherBuild) {
  const auto all = difference(told(web(100, 44, 20, "aa")), told(web(612, 47, 20, "bb")));
  const ChangedAspect* functions = aspect_of(all.at(0), Aspect::kFunction);
  ASSERT_NE(functions, nullptr);
  ASSERT_EQ(functions->lines.size(), 1U);  // the line of load() moved, the hash of grow() is not its name
  EXPECT_EQ(functions->lines[0].name, "load");
  EXPECT_EQ(functions->lines[0].before, 100 * kPageBytes);
  EXPECT_EQ(functions->lines[0].after, 612 * kPageBytes);
  EXPECT_EQ(functions->rest, 0);
}

TEST(Difference, OfFilesTheRestIsWhatIsOfNone) {
  const auto all = difference(told(web(100, 44, 20, "aa")), told(web(40, 44, 24, "aa")));
  EXPECT_TRUE(all.at(0).same_build);
  const ChangedAspect* files = aspect_of(all[0], Aspect::kFile);
  ASSERT_NE(files, nullptr);
  ASSERT_EQ(files->lines.size(), 1U);
  EXPECT_EQ(files->lines[0].name, "/srv/web");
  EXPECT_EQ(files->lines[0].change(), 4 * kPage);
  EXPECT_EQ(files->rest, -60 * kPage);
}

TEST(Difference, NothingChanged) {
  const auto all = difference(told(web(100, 44, 20, "aa")), told(web(100, 44, 20, "aa")));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].rss_change(), 0);
  for (const ChangedAspect& aspect : all[0].aspects) EXPECT_TRUE(aspect.lines.empty());
}

TEST(Difference, OneProgramOfEachSideIsMatchedWhateverItsName) {
  const auto all =
      difference(told(web(100, 44, 20, "aa", "/srv/web-1")), told(web(200, 44, 20, "bb", "/srv/web-2")));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].program_before, "web-1");
  EXPECT_EQ(all[0].program, "web-2");
  EXPECT_EQ(all[0].rss_change(), 100 * kPage);
}

constexpr const char* kTwo = R"(
@1000 anchor
attach 1 pid=7 comm=web exe=/srv/web
attach 2 pid=8 comm=db exe=/srv/db
attach 3 pid=9 comm=db exe=/srv/db
vmas 1: 1000+64 rw-p
vmas 2: 1000+64 rw-p
vmas 3: 1000+64 rw-p
scan 1: 1000+10
scan 2: 1000+20
scan 3: 1000+30
)";

TEST(Difference, ProgramsOfOneSideAlone) {
  const auto all = difference(told(kTwo), told(web(100, 44, 20, "aa")));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].program, "web");
  EXPECT_EQ(all[1].program, "db");
  EXPECT_FALSE(all[1].after);
  EXPECT_EQ(all[1].rss_change(), -50 * kPage);  // both processes
  for (const ChangedAspect& aspect : all[1].aspects) EXPECT_EQ(sum(aspect), -50 * kPage);
}

TEST(StableName, WithoutWhatABuildChanges) {
  EXPECT_EQ(stable_name("core::grow::h0123456789abcdef"), "core::grow");
  EXPECT_EQ(stable_name("core::grow::h0123456789abcdeg"), "core::grow::h0123456789abcdeg");
  EXPECT_EQ(stable_name("local function after qsort_r+0x1c30"), "local function after qsort_r");
  EXPECT_EQ(stable_name("main.(*job).load"), "main.(*job).load");
}

TEST(Limits, HoldOrSayWhatDoesNot) {
  const Explanation now = told(web(612, 47, 24, "bb"));  // 648 pages, 616 of them anon.other
  EXPECT_TRUE(broken_limits(now, {648 * kPageBytes, {{"anon", 625 * kPageBytes}}, {}}).empty());
  const auto broken = broken_limits(
      now, {648 * kPageBytes - 1, {{"anon.other", 100 * kPageBytes}, {"file", 0}, {"ano", 0}}, {}});
  ASSERT_EQ(broken.size(), 3U);
  EXPECT_EQ(broken[0].kind, LimitKind::kRss);
  EXPECT_EQ(broken[0].sentence, "RSS of web (pid 7) is 2.5 MiB, more than 2.5 MiB");
  EXPECT_EQ(broken[1].sentence, "anon.other of web (pid 7) is 2.4 MiB, more than 400.0 KiB");
  EXPECT_EQ(broken[2].id, "file");
  EXPECT_EQ(broken[2].bytes, 24 * kPageBytes);
}

TEST(Limits, NothingSeenHoldsNothing) {
  const auto broken = broken_limits(told("@1 attach 1 pid=7 comm=web\n"), {});
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_EQ(broken[0].kind, LimitKind::kNothingSeen);
}

// What it was before an exec holds nothing for what it is now.
TEST(Limits, AProgramThatWasReplacedIsNotThePresentOne) {
  std::string script = web(612, 47, 24, "bb");
  script.resize(script.find("recording-end"));
  script += "@1007 exec 3 from 1 pid=7 comm=db\n@1007 space-end 1 execed\n";
  const Explanation unseen = told(script);
  ASSERT_EQ(unseen.processes.size(), 2U);
  const auto broken = broken_limits(unseen, {uint64_t{1} << 40, {}, {}});
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_EQ(broken[0].kind, LimitKind::kNothingSeen);

  const Explanation scanned = told(script + "vmas 3: 1000+64 rw-p\n@1008 scan 3: 1000+10\n");
  EXPECT_TRUE(broken_limits(scanned, {11 * kPageBytes, {}, {}}).empty());
}

TEST(Limits, AProblemOfAProgramThatWasReplacedIsNotMet) {
  Explanation all;
  all.processes.resize(1);
  all.processes[0].findings.emplace_back();
  all.processes[0].findings[0].id = "goroutine-leak";
  all.processes[0].findings[0].kind = FindingKind::kProblem;
  EXPECT_EQ(met_findings(all, {"goroutine-leak"}).size(), 1U);
  all.processes[0].replaced = true;
  EXPECT_TRUE(met_findings(all, {"goroutine-leak"}).empty());
}

TEST(Spread, OfRepetitions) {
  EXPECT_EQ(spread_of({300, 310, 305}).mean, 305);
  EXPECT_EQ(spread_of({300, 310, 305}).deviation, 5);
  EXPECT_EQ(spread_of({300}).deviation, std::nullopt);
}

std::vector<BrokenLimit> against(int now, const std::vector<int>& bases, double tolerance = 0.10) {
  std::vector<std::vector<ProgramTotals>> totals;
  for (const int base : bases) totals.push_back(totals_of(told(web(base, 44, 20, "aa"))));
  return broken_against(totals_of(told(web(now, 44, 20, "bb"))), totals, {tolerance});
}

TEST(Against, NoiseOfRepetitionsIsNoGrowth) {
  EXPECT_TRUE(against(10000, {10000}).empty());
  EXPECT_TRUE(against(10900, {10000}).empty());  // 9 %
  const auto one = against(11200, {10000});
  ASSERT_EQ(one.size(), 2U);  // RSS, and the owner
  EXPECT_EQ(one[0].sentence, "RSS of web is 43.9 MiB, 12 % more than 39.2 MiB of the base");
  EXPECT_EQ(one[1].id, "anon.other");
  // Three that differ by more than that among themselves: the same number is noise.
  EXPECT_TRUE(against(11200, {9000, 10000, 11000}).empty());
  const auto three = against(14000, {9000, 10000, 11000});
  ASSERT_EQ(three.size(), 2U);
  EXPECT_EQ(three[0].sentence,
            "RSS of web is 54.8 MiB, 40 % more than 39.2 MiB, the mean of 3 bases (deviation 3.9 MiB)");
}

TEST(Against, AProgramThatNoBaseHasIsNotCompared) {
  const auto broken = broken_against(totals_of(told(kTwo)), {totals_of(told(web(10, 44, 20, "aa")))}, {});
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_EQ(broken[0].sentence, "db is in no base: its 200.0 KiB are not compared with anything");
}

TEST(FindingIds, AreThoseOfTheRules) {
  for (const char* id : {"goroutine-leak", "race-detector", "rss-growth", "any-problem", "largest-owner"})
    EXPECT_TRUE(is_finding_id(id)) << id;
  for (const char* id : {"", "goroutine_leak", "Goroutine-leak", "problem"})
    EXPECT_FALSE(is_finding_id(id)) << id;
}

}  // namespace
}  // namespace memwhy::explain
