// SPDX-License-Identifier: Apache-2.0
#include "base/exit_status.h"

#include <gtest/gtest.h>

namespace memwhy {
namespace {

TEST(ExitStatus, is_what_the_manual_says) {
  EXPECT_EQ(exit_status(ErrorCode::kInternal), 1);
  EXPECT_EQ(exit_status(ErrorCode::kUsage), 2);
  for (const ErrorCode code :
       {ErrorCode::kAbsent, ErrorCode::kDamaged, ErrorCode::kLimit, ErrorCode::kTooLate, ErrorCode::kUnmet})
    EXPECT_EQ(exit_status(code), 3);
  EXPECT_EQ(exit_status(ErrorCode::kTargetGone), 4);
  EXPECT_EQ(exit_status(ErrorCode::kEnvironment), 5);
  EXPECT_EQ(exit_status(ErrorCode::kBadInput), 6);
  EXPECT_EQ(exit_status(ErrorCode::kOutput), 7);
  EXPECT_EQ(exit_status(ErrorCode::kConflict), 8);
}

TEST(ExitStatus, no_failure_is_taken_for_success) {
  for (int code = 0; code <= static_cast<int>(kLastErrorCode); ++code)
    EXPECT_NE(exit_status(static_cast<ErrorCode>(code)), 0) << code;
}

}  // namespace
}  // namespace memwhy
