// SPDX-License-Identifier: Apache-2.0
// When what of a target is due, without a target.
#include "record/schedule.h"

#include <gtest/gtest.h>

namespace memwhy::record {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

TEST(Schedule, NothingIsDueBeforeItBegins) {
  Schedule schedule;
  EXPECT_EQ(schedule.due(true), kNever);
  schedule.begin(5 * kSecond);
  EXPECT_EQ(schedule.due(true), 5 * kSecond) << "the first scan";
  EXPECT_EQ(schedule.next_tick, 6 * kSecond);
  EXPECT_EQ(schedule.next_restate, 65 * kSecond);
}

TEST(Schedule, TicksThatWereMissedAreNotMadeUpFor) {
  Schedule schedule;
  schedule.begin(0);
  EXPECT_FALSE(schedule.take_tick(kSecond - 1));
  EXPECT_TRUE(schedule.take_tick(kSecond));
  EXPECT_EQ(schedule.next_tick, 2 * kSecond);
  EXPECT_TRUE(schedule.take_tick(7 * kSecond + 1));
  EXPECT_EQ(schedule.next_tick, 8 * kSecond);
  EXPECT_FALSE(schedule.take_tick(8 * kSecond - 1));
}

TEST(Schedule, AScanOutOfTurnWaitsUntilTheLastOneIsPaidFor) {
  Schedule schedule;
  schedule.begin(0);
  schedule.scan_begins(0, 10 * kSecond);
  schedule.scan_ended(kSecond / 10, 20'000'000);  // 20 ms of CPU: 2 s
  schedule.rescan = true;
  EXPECT_EQ(schedule.scan_due(true), kSecond / 10 + 2 * kSecond);
  EXPECT_EQ(schedule.scan_due(false), 10 * kSecond) << "its files may be another's";
  schedule.scan_begins(3 * kSecond, 10 * kSecond);
  EXPECT_EQ(schedule.scan_due(true), 13 * kSecond) << "what was wanted was done";
}

TEST(Schedule, ADelayHoldsForEveryScan) {
  Schedule schedule;
  schedule.begin(0);
  schedule.scan_begins(0, 10 * kSecond);
  schedule.rescan = true;
  schedule.delay_scans(30 * kSecond);
  EXPECT_EQ(schedule.scan_due(true), 30 * kSecond);
  schedule.delay_scans(20 * kSecond);
  EXPECT_EQ(schedule.scan_due(true), 30 * kSecond) << "a shorter one takes nothing back";
  schedule.look_at(4 * kSecond);
  schedule.look_at(5 * kSecond);
  EXPECT_EQ(schedule.check_at, 4 * kSecond);
}

}  // namespace
}  // namespace memwhy::record
