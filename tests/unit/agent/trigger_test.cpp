// SPDX-License-Identifier: Apache-2.0
#include "agent/trigger.h"

#include <gtest/gtest.h>

#include <csignal>

namespace memwhy::agent {
namespace {

constexpr TimeNs kMinute = 60'000'000'000;

Firing of(Trigger trigger, const std::string& unit, TimeNs minutes) {
  return {trigger, unit, minutes * kMinute, "", 0};
}

TEST(GateTest, TheSameTriggerOfAUnitCoolsDown) {
  Gate gate(10 * kMinute, 100);
  EXPECT_EQ(gate.pass(of(Trigger::kGrowth, "api", 0)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kGrowth, "api", 9)), Suppressed::kCoolDown);
  EXPECT_EQ(gate.pass(of(Trigger::kGrowth, "api", 9)), Suppressed::kAgain);
  EXPECT_EQ(gate.pass(of(Trigger::kOomKill, "api", 9)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kGrowth, "web", 9)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kGrowth, "api", 10)), Suppressed::kNo);
}

TEST(GateTest, ATriggerHasSoManyAnHourAndARequestIsNeverRefused) {
  Gate gate(kMinute, 2);
  EXPECT_EQ(gate.pass(of(Trigger::kStep, "a", 0)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kStep, "b", 30)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kStep, "c", 59)), Suppressed::kCap);
  EXPECT_EQ(gate.pass(of(Trigger::kStep, "c", 59)), Suppressed::kAgain);
  EXPECT_EQ(gate.pass(of(Trigger::kSignal, "c", 59)), Suppressed::kNo);
  EXPECT_EQ(gate.pass(of(Trigger::kStep, "c", 60)), Suppressed::kNo);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(gate.pass(of(Trigger::kRequest, "a", 60)), Suppressed::kNo);
}

TEST(GateTest, AServiceThatIsStoppedIsNoSurprise) {
  EXPECT_FALSE(is_surprise(0));
  EXPECT_FALSE(is_surprise(SIGTERM));
  EXPECT_TRUE(is_surprise(SIGSEGV));
  EXPECT_TRUE(is_surprise(SIGKILL));
}

}  // namespace
}  // namespace memwhy::agent
