// SPDX-License-Identifier: Apache-2.0
#include "agent/hook_time.h"

#include <gtest/gtest.h>

namespace memwhy::agent {
namespace {

constexpr TimeNs kSecond = 1'000'000'000, kMs = 1'000'000;

events::Coverage coverage(uint64_t runs, TimeNs run_time, TimeNs watched, uint64_t faults = 0) {
  events::Coverage out;
  out.faults_seen = faults;
  out.programs = {{"fault_user_btf", runs, run_time, watched}};
  return out;
}

TEST(HookTimeTest, AWindowStandsForTheTimeSinceTheOneBefore) {
  HookTime time;
  time.see(coverage(1000, kMs, 50 * kMs), kSecond);
  EXPECT_EQ(time.all_ns(), 20 * kMs);
  EXPECT_EQ(time.passing_ns(), 20'000 * HookTime::kOfOtherFaultNs);
  time.see(coverage(1000, kMs, 50 * kMs), 2 * kSecond);  // no window
  EXPECT_EQ(time.all_ns(), 20 * kMs);
  time.see(coverage(2000, 3 * kMs, 100 * kMs), 3 * kSecond);
  EXPECT_EQ(time.all_ns(), (20 + 80) * kMs);
  EXPECT_EQ(time.passing_ns(), 60'000 * HookTime::kOfOtherFaultNs);
}

// After a storm, windows of another length are no storm again: of a sum over all time they would be 2 s.
TEST(HookTimeTest, WhatWasIsNotCountedAgain) {
  HookTime time;
  time.see(coverage(0, 2 * kSecond, 2 * kSecond), 40 * kSecond);
  const uint64_t before = time.all_ns();
  for (uint64_t i = 1; i <= 10; ++i)
    time.see(coverage(0, 2 * kSecond, 2 * kSecond + i * 25 * kMs), (40 + i) * kSecond);
  EXPECT_EQ(time.all_ns(), before);
}

TEST(HookTimeTest, OneThatKeepsItsTimeItselfIsNotExtrapolated) {
  HookTime time;
  events::Coverage all = coverage(10, kMs, 50 * kMs);
  all.programs.push_back({"go_growStack", 1, 500, 0});
  time.see(all, kSecond);
  EXPECT_EQ(time.all_ns(), 20 * kMs + 500);
}

// Without the privilege to measure it.
TEST(HookTimeTest, WhatCannotBeWatchedIsGuessedByTheFaults) {
  HookTime time;
  events::Coverage all;
  all.faults_seen = 1000;
  time.see(all, kSecond);
  EXPECT_EQ(time.all_ns(), 500'000u);
  EXPECT_EQ(time.faults_ns(), 500'000u);
  EXPECT_EQ(time.passing_ns(), 0u);
}

}  // namespace
}  // namespace memwhy::agent
