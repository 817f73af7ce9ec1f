// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#include <gtest/gtest.h>

namespace memwhy::agent {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

// A load that costs `per_process` of a CPU for each of 50 processes that are recorded; what is used of `seconds`.
struct Load {
  explicit Load(double share) : budget(share, 2) { budget.at(now, used); }
  double run(double per_process, int seconds) {
    const uint64_t before = used;
    for (int i = 0; i < seconds; ++i) {
      recorded = budget.most(50);
      used += static_cast<uint64_t>(per_process * static_cast<double>(recorded) * kSecond);
      now += kSecond;
      budget.at(now, used);
    }
    return static_cast<double>(used - before) / kSecond / seconds;
  }
  Budget budget;
  TimeNs now = 1000 * kSecond;
  uint64_t used = 0;
  size_t recorded = 0;
};

TEST(BudgetTest, WhatFitsIsLeftAlone) {
  Load load(0.03);
  EXPECT_LE(load.run(0.001, 600), 0.06);
  EXPECT_EQ(load.budget.level(), Level::kNothing);
  EXPECT_EQ(load.recorded, 50u);
}

TEST(BudgetTest, FewerProcessesHoldIt) {
  Load load(0.03);
  load.run(0.01, 120);  // 0.5 of a CPU at first, of 0.06
  const double average = load.run(0.01, 600);
  EXPECT_LE(average, 0.06 * 1.1);
  EXPECT_GT(load.recorded, 0u);
}

TEST(BudgetTest, WhenOneIsTooMuchTheHooksGo) {
  Load load(0.005);
  load.run(0.2, 300);
  const double average = load.run(0.2, 1200);
  EXPECT_LE(average, 0.01 * 1.1);
}

TEST(BudgetTest, AQuietNodeGetsAllBack) {
  Load load(0.03);
  load.run(0.01, 300);
  EXPECT_LT(load.budget.most(50), 50u);
  load.run(0, 1200);
  EXPECT_EQ(load.budget.most(50), 50u);
  EXPECT_EQ(load.budget.level(), Level::kNothing);
}

TEST(BudgetTest, AFigureThatIsCorrectedDownwardsAddsNothing) {
  Budget budget(0.5, 2);
  budget.at(kSecond, 5 * kSecond);
  budget.at(2 * kSecond, 4 * kSecond);
  budget.at(3 * kSecond, 5 * kSecond);
  EXPECT_EQ(budget.level(), Level::kNothing);
  EXPECT_DOUBLE_EQ(budget.ratio(2), 0);
}

}  // namespace
}  // namespace memwhy::agent
