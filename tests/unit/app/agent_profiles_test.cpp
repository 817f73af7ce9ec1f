// SPDX-License-Identifier: Apache-2.0
#include "app/agent_profiles.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace memwhy::app {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

// What a child has left: a file, and that it took 0.5 s of CPU.
ClosedJob job(const std::string& unit, const std::string& text) {
  ClosedJob closed{{}, UnitAnswer{}, kSecond / 2};
  closed.job.unit = unit;
  closed.job.output = ::testing::TempDir() + std::to_string(::getpid()) + unit;
  std::ofstream(closed.job.output) << text;
  return closed;
}

TEST(AgentProfilesTest, OneIsKeptUntilTheNextOneIsPaidFor) {
  AgentProfiles profiles;
  const ClosedJob api = job("api", "of api");
  EXPECT_EQ(profiles.made(api, 0.005, 7 * kSecond).value(), "of api");
  EXPECT_NE(::access(api.job.output.c_str(), F_OK), 0);
  EXPECT_EQ(profiles.kept("api", 106 * kSecond), "of api");
  EXPECT_EQ(profiles.kept("api", 107 * kSecond), std::nullopt);
  EXPECT_EQ(profiles.kept("web", 8 * kSecond), std::nullopt);
  // Two of them share what there is for profiles.
  EXPECT_EQ(profiles.made(job("web", "of web"), 0.005, 10 * kSecond).value(), "of web");
  EXPECT_EQ(profiles.kept("web", 209 * kSecond), "of web");
  EXPECT_EQ(profiles.kept("web", 210 * kSecond), std::nullopt);
  // One that is gone is not paid for.
  profiles.tidy(300 * kSecond);
  EXPECT_EQ(profiles.made(job("web", "again"), 0.005, 300 * kSecond).value(), "again");
  EXPECT_EQ(profiles.kept("web", 400 * kSecond), std::nullopt);
}

TEST(AgentProfilesTest, AllWhoWaitAreGivenTheSame) {
  AgentProfiles profiles;
  EXPECT_FALSE(profiles.awaited("api"));
  profiles.await("api", {1, agent::Ask::kProfile, 0, 0});
  profiles.await("api", {2, agent::Ask::kProfile, 0, 0});
  profiles.await("web", {3, agent::Ask::kProfile, 0, 0});
  EXPECT_TRUE(profiles.awaited("api"));
  const std::vector<agent::Question> waiting = profiles.take_awaiting("api");
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[1].id, 2u);
  EXPECT_FALSE(profiles.awaited("api"));
  EXPECT_TRUE(profiles.take_awaiting("api").empty());
  EXPECT_TRUE(profiles.awaited("web"));
}

TEST(AgentProfilesTest, AChildThatFailedLeavesNone) {
  AgentProfiles profiles;
  ClosedJob failed = job("api", "half");
  failed.answer = Error(ErrorCode::kBadInput, "the ring has no parts");
  EXPECT_EQ(profiles.made(failed, 0.005, kSecond).error().message(), "the ring has no parts");
  EXPECT_EQ(profiles.kept("api", kSecond), std::nullopt);
  ::unlink(failed.job.output.c_str());
}

}  // namespace
}  // namespace memwhy::app
