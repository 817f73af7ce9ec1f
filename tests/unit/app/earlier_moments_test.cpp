// SPDX-License-Identifier: Apache-2.0
// Which earlier scans of a recording are explained again.
#include "app/earlier_moments.h"

#include <gtest/gtest.h>

namespace memwhy::app {
namespace {

explain::ProcessExplanation process(uint64_t bytes, const std::vector<TimeNs>& scans) {
  explain::ProcessExplanation out;
  out.rss.bytes = bytes;
  for (const TimeNs time : scans) {
    explain::TimelinePoint scan, between;
    scan.time = time;
    scan.ledger.push_back({explain::Owner::kAnonOther, bytes});
    between.time = time + 1;
    out.timeline.push_back(scan);
    out.timeline.push_back(between);
  }
  if (!scans.empty()) out.scan_time = scans.back();
  return out;
}

TEST(EarlierMoments, AreScansOfTheLargestProcessBeforeItsLast) {
  explain::Explanation all;
  EXPECT_TRUE(earlier_scans(all, 8).empty());
  all.processes = {process(10, {1, 2, 3}), process(20, {100, 200, 300}), process(5, {7})};
  EXPECT_EQ(earlier_scans(all, 8), (std::vector<TimeNs>{100, 200}));
  all.processes = {process(10, {5})};
  EXPECT_TRUE(earlier_scans(all, 8).empty());
}

TEST(EarlierMoments, AreEvenlyChosenWithTheFirstAndTheLast) {
  std::vector<TimeNs> scans;
  for (TimeNs time = 0; time <= 120; time += 10) scans.push_back(time);
  explain::Explanation all;
  all.processes = {process(10, scans)};
  EXPECT_EQ(earlier_scans(all, 4), (std::vector<TimeNs>{0, 30, 70, 110}));
  EXPECT_EQ(earlier_scans(all, 12).size(), 12U);
}

}  // namespace
}  // namespace memwhy::app
