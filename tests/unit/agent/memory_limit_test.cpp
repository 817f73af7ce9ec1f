// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_limit.h"

#include <gtest/gtest.h>

namespace memwhy::agent {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

TEST(MemoryLimitTest, HalvesWhileItIsTooMuchAndKeepsOne) {
  MemoryLimit limit;
  EXPECT_FALSE(limit.at(kSecond, 99, 100, 20, 20));
  EXPECT_EQ(limit.most(20), 20u);
  EXPECT_TRUE(limit.at(2 * kSecond, 101, 100, 20, 20));
  EXPECT_EQ(limit.most(20), 10u);
  // It is given back slowly.
  EXPECT_FALSE(limit.at(3 * kSecond, 101, 100, 10, 20));
  EXPECT_EQ(limit.most(20), 10u);
  for (TimeNs each = 1; each < 10; ++each)
    limit.at(2 * kSecond + each * MemoryLimit::kHalvesEach, 101, 100, limit.most(20), 20);
  EXPECT_EQ(limit.most(20), 1u);
}

TEST(MemoryLimitTest, GivesBackWhenThereIsRoom) {
  MemoryLimit limit;
  limit.at(kSecond, 101, 100, 20, 20);
  TimeNs now = kSecond;
  limit.at(now += MemoryLimit::kDoublesEach, 90, 100, 10, 20);
  EXPECT_EQ(limit.most(20), 10u);  // not much room
  limit.at(now += MemoryLimit::kDoublesEach, 50, 100, 10, 20);
  EXPECT_EQ(limit.most(20), 20u);
  limit.at(now += MemoryLimit::kDoublesEach, 50, 100, 20, 20);
  EXPECT_EQ(limit.most(100), 100u);
}

}  // namespace
}  // namespace memwhy::agent
