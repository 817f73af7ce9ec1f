// SPDX-License-Identifier: Apache-2.0
#include "base/whole.h"

#include <gtest/gtest.h>

namespace memwhy {
namespace {

constexpr uint64_t kMost = ~uint64_t{0};

TEST(Whole, IsTheNearestThatThereIs) {
  EXPECT_EQ(whole(0.9), 0u);
  EXPECT_EQ(nearest(0.5), 1u);
  EXPECT_EQ(whole(-1), 0u);
  EXPECT_EQ(nearest(-0.4), 0u);
  EXPECT_EQ(whole(18446744073709549568.0), 18446744073709549568u) << "the last below 2^64";
  EXPECT_EQ(whole(18446744073709551616.0), kMost);
  EXPECT_EQ(nearest(9.3e18), 9300000000000000000u) << "above what llround() has";
  EXPECT_EQ(nearest(std::numeric_limits<double>::infinity()), kMost);
  EXPECT_EQ(whole(-std::numeric_limits<double>::infinity()), 0u);
  EXPECT_EQ(whole(std::numeric_limits<double>::quiet_NaN()), 0u);
}

TEST(Whole, DifferencesHaveASign) {
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(minus(5, 7), -2);
  EXPECT_EQ(minus(7, 5), 2);
  EXPECT_EQ(minus(uint64_t{1} << 63, 1), kFar);
  EXPECT_EQ(minus(1, uint64_t{1} << 63), -kFar);
  EXPECT_EQ(minus(0, kMost), -kFar);
  EXPECT_EQ(minus(kMost, kMost - 1), 1);
}

}  // namespace
}  // namespace memwhy
