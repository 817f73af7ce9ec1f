// SPDX-License-Identifier: Apache-2.0
#include "agent/selection.h"

#include <gtest/gtest.h>

#include <functional>

namespace memwhy::agent {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr TimeNs kSecond = 1'000'000'000, kFrom = 1000 * kSecond;

Seen process(Pid pid, const std::string& unit, uint64_t mib) {
  return {pid, unit, unit, "/" + unit, (mib + 1) * kMiB, mib * kMiB};
}

std::vector<Pid> pids(const std::vector<Seen>& chosen) {
  std::vector<Pid> out;
  for (const Seen& each : chosen) out.push_back(each.pid);
  return out;
}

// A pass each second of what `at` gives.
void passes(Selection& selection, TimeNs first, TimeNs last,
            const std::function<std::vector<Seen>(TimeNs)>& at) {
  for (TimeNs s = first; s <= last; ++s) selection.pass(kFrom + s * kSecond, at(s));
}

const UnitFigures& unit(const Selection& selection, const std::string& name) {
  return selection.units().at(name);
}

TEST(SelectionTest, TheLargestComeFirstAndSmallOnesNot) {
  SelectionRules rules;
  rules.top = 2;
  Selection selection(rules);
  const std::vector<Seen> all = {process(1, "a", 20), process(2, "b", 300), process(3, "c", 100),
                                 process(4, "d", 3)};
  EXPECT_EQ(pids(selection.pass(kFrom, all)), (std::vector<Pid>{2, 3}));
  rules.top = 20;
  selection.change(rules);
  EXPECT_EQ(pids(selection.pass(kFrom + 1, all)), (std::vector<Pid>{2, 3, 1}));
  selection.limit(1);
  EXPECT_EQ(pids(selection.pass(kFrom + 2, all)), (std::vector<Pid>{2}));
}

TEST(SelectionTest, ByNameAndByCgroupWithThoseBelow) {
  SelectionRules rules;
  rules.comms = {"a"};
  rules.cgroups = {"/b"};
  Selection selection(rules);
  Seen below = process(3, "c", 50), beside = process(4, "d", 50);
  below.cgroup = "/b/c";
  beside.cgroup = "/bd";
  EXPECT_EQ(pids(selection.pass(kFrom, {process(1, "a", 70), process(2, "b", 60), below, beside})),
            (std::vector<Pid>{1, 2, 3}));
  rules.comms = {};
  rules.cgroups = {"c"};  // a unit
  selection.change(rules);
  EXPECT_EQ(pids(selection.pass(kFrom + 1, {process(1, "a", 70), process(2, "b", 60), below})),
            (std::vector<Pid>{3}));
}

TEST(SelectionTest, WhatAHeapProfileShowsDoesNotCount) {
  SelectionRules rules;
  rules.top = 1;
  Selection selection(rules);
  selection.heap_profile("a", 290 * kMiB);
  EXPECT_EQ(pids(selection.pass(kFrom, {process(1, "a", 300), process(2, "b", 100)})), (std::vector<Pid>{2}));
}

TEST(SelectionTest, ARecordedOneStaysUnlessAnotherIsMuchLarger) {
  SelectionRules rules;
  rules.top = 1;
  Selection selection(rules);
  EXPECT_EQ(pids(selection.pass(kFrom, {process(1, "a", 100), process(2, "b", 99)})), (std::vector<Pid>{1}));
  EXPECT_EQ(pids(selection.pass(kFrom + 1, {process(1, "a", 100), process(2, "b", 120)})),
            (std::vector<Pid>{1}));
  EXPECT_EQ(pids(selection.pass(kFrom + 2, {process(1, "a", 100), process(2, "b", 130)})),
            (std::vector<Pid>{2}));
}

TEST(SelectionTest, WhatGrowsComesFirstLongBeforeItHasGrownEnough) {
  SelectionRules rules;
  rules.top = 2;
  Selection selection(rules);
  const auto node = [](TimeNs s) {
    return std::vector{process(1, "db", 3000), process(2, "web", 2000), process(3, "leak", 30 + s / 4)};
  };
  passes(selection, 0, 60, node);
  EXPECT_EQ(pids(selection.pass(kFrom + 61 * kSecond, node(61))), (std::vector<Pid>{1, 2}));  // 15 MiB
  EXPECT_EQ(pids(selection.pass(kFrom + 64 * kSecond, node(64))), (std::vector<Pid>{3, 1}));
  EXPECT_FALSE(unit(selection, "leak").growth_bytes);
  // It has stopped.
  for (TimeNs s = 65; s < 200; ++s) selection.pass(kFrom + s * kSecond, node(64));
  EXPECT_EQ(pids(selection.pass(kFrom + 200 * kSecond, node(64))), (std::vector<Pid>{1, 2}));
}

TEST(SelectionTest, WhatHasJustBeenStartedIsNotWorthItYetAndItsStartIsNoGrowth) {
  SelectionRules rules;
  rules.top = 1;
  Selection selection(rules);
  const auto node = [](TimeNs s) {
    std::vector all = {process(1, "db", 100)};
    if (s >= 100) {
      all.push_back(process(2, "jvm", std::min<TimeNs>(40 * (s - 100) + 1, 900)));
      all.back().since = kFrom + 100 * kSecond;
    }
    return all;
  };
  passes(selection, 0, 129, node);
  EXPECT_EQ(pids(selection.pass(kFrom + 129 * kSecond, node(129))), (std::vector<Pid>{1}));
  EXPECT_EQ(pids(selection.pass(kFrom + 130 * kSecond, node(130))), (std::vector<Pid>{2}));
  for (TimeNs s = 131; s < 300; ++s) {
    selection.pass(kFrom + s * kSecond, node(s));
    ASSERT_FALSE(unit(selection, "jvm").growing) << s;
  }
}

TEST(SelectionTest, GrowthIsOfAWholeWindowAndGoesOn) {
  Selection selection({});
  const auto leak = [](TimeNs s) { return std::vector{process(1, "leak", 100 + s / 3)}; };
  passes(selection, 0, 299, leak);
  EXPECT_FALSE(unit(selection, "leak").growth_bytes);
  EXPECT_FALSE(unit(selection, "leak").grown);
  passes(selection, 300, 300, leak);
  EXPECT_EQ(unit(selection, "leak").growth_bytes, 100 * static_cast<int64_t>(kMiB));
  EXPECT_TRUE(unit(selection, "leak").grown);
}

TEST(SelectionTest, LittleOrLittleOfMuchIsNoGrowth) {
  Selection selection({});
  passes(selection, 0, 320, [](TimeNs s) {
    return std::vector{process(1, "little", 100 + s / 6), process(2, "much", 1000 + s / 4)};
  });
  EXPECT_FALSE(unit(selection, "little").grown);  // 50 MiB
  EXPECT_FALSE(unit(selection, "much").grown);    // 75 MiB of 1,000
  EXPECT_GT(*unit(selection, "much").growth_bytes, 70 * static_cast<int64_t>(kMiB));
}

TEST(SelectionTest, AStartIsNoGrowthNorAStep) {
  Selection selection({});
  for (TimeNs s = 0; s < 900; ++s) {
    selection.pass(kFrom + s * kSecond, {process(1, "jvm", std::min<TimeNs>(4000, 10 + 400 * s))});
    ASSERT_FALSE(unit(selection, "jvm").grown) << s;
    ASSERT_FALSE(unit(selection, "jvm").stepped) << s;
  }
}

TEST(SelectionTest, AUnitThatIsStartedAgainGoesOnByItsName) {
  Selection selection({});
  const auto pod = [](Pid pid) { return [pid](TimeNs) { return std::vector{process(pid, "pod", 500)}; }; };
  passes(selection, 0, 400, pod(1));
  for (TimeNs s = 410; s < 1200; ++s) {  // ten seconds without it
    selection.pass(kFrom + s * kSecond, {process(2, "pod", std::min<TimeNs>(500, 10 + 20 * (s - 410)))});
    ASSERT_FALSE(unit(selection, "pod").grown) << s;
    ASSERT_TRUE(unit(selection, "pod").growth_bytes)
        << s;  // watched for long enough from its first process on
  }
}

TEST(SelectionTest, AStepOfARunningUnit) {
  Selection selection({});
  passes(selection, 0, 400, [](TimeNs s) {
    return std::vector{process(1, "steps", s < 398 ? 100 : 400), process(2, "slow", 100 + s)};
  });
  EXPECT_TRUE(unit(selection, "steps").stepped);
  EXPECT_EQ(unit(selection, "steps").step_bytes, 300 * kMiB);
  EXPECT_FALSE(unit(selection, "slow").stepped);
}

TEST(SelectionTest, WhoGrewMostIsSuspectedFirstAndElseTheLargest) {
  const std::map<std::string, UnitFigures> units = {
      {"large", {900 * kMiB, 900 * kMiB, 1, -5, false, false, 0}},
      {"leak", {200 * kMiB, 200 * kMiB, 1, 50 * static_cast<int64_t>(kMiB), false, false, 0}},
      {"fresh", {300 * kMiB, 300 * kMiB, 1, std::nullopt, false, false, 80 * kMiB}}};
  const auto of = [&](const std::string& names) {
    const auto most =
        most_grown(units, [&](const std::string& name) { return names.find(name) != std::string::npos; });
    return most ? most->unit + " " + std::to_string(most->bytes / kMiB) : "none";
  };
  EXPECT_EQ(of("large leak fresh"), "fresh 80");
  EXPECT_EQ(of("large leak"), "leak 50");
  EXPECT_EQ(of("large"), "large 0");
  EXPECT_EQ(of(""), "none");
}

TEST(SelectionTest, WhatHappenedWhileNobodyLookedHasNoKnownTime) {
  for (const TimeNs gap : {TimeNs{30}, TimeNs{3600}}) {
    Selection selection({});
    passes(selection, 0, 400, [](TimeNs) { return std::vector{process(1, "api", 100)}; });
    passes(selection, 400 + gap, 460 + gap, [](TimeNs) { return std::vector{process(1, "api", 900)}; });
    EXPECT_FALSE(unit(selection, "api").stepped) << gap;
    // Half a minute is within the window; of an hour it is not known when.
    EXPECT_EQ(unit(selection, "api").grown, gap == 30) << gap;
    EXPECT_EQ(unit(selection, "api").growth_bytes.has_value(), gap == 30) << gap;
  }
}

TEST(SelectionTest, AUnitIsTheSumOfItsProcesses) {
  Selection selection({});
  passes(selection, 0, 310, [](TimeNs s) {
    std::vector<Seen> workers;
    for (Pid pid = 1; pid <= 10; ++pid) workers.push_back(process(pid, "pool", 20 + s / 40));
    return workers;
  });
  EXPECT_EQ(unit(selection, "pool").processes, 10u);
  EXPECT_TRUE(unit(selection, "pool").grown);  // 7 MiB each
}

// The budget pays for one; it is left at the second 400, and then there is no money for a while.
TEST(SelectionTest, ThoseThatGrowTakeTurns) {
  SelectionRules rules;
  rules.top = 5;
  Selection selection(rules);
  const auto all = [](TimeNs s) {
    return std::vector<Seen>{process(1, "largest", 9000), process(2, "slow", 100 + s),
                             process(3, "fast", 100 + 2 * s), process(4, "faster", 100 + 3 * s)};
  };
  passes(selection, 0, 299, all);
  selection.limit(1);
  std::vector<Pid> turns;
  std::string recorded;
  for (TimeNs s = 300; s < 900; ++s) {
    const TimeNs now = kFrom + s * kSecond;
    const bool pays = s < 400 || s >= 500;
    if (pays && !recorded.empty()) selection.recorded(recorded, now);
    const std::vector<Seen> chosen = selection.pass(now, all(s));
    ASSERT_EQ(chosen.size(), 1u);
    if (turns.empty() || turns.back() != chosen[0].pid) turns.push_back(chosen[0].pid);
    recorded = pays ? chosen[0].unit : "";
  }
  EXPECT_EQ(turns, (std::vector<Pid>{4, 3, 2, 4, 3, 2, 4, 3, 2}));
}

}  // namespace
}  // namespace memwhy::agent
