// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <variant>

namespace memwhy {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kUsage, "odd");
  return number / 2;
}

TEST(Result, holds_a_value_or_an_error) {
  const Result<int> good = half(14);
  ASSERT_TRUE(good);
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  const Result<int> bad = half(15);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), ErrorCode::kUsage);
  EXPECT_EQ(bad.error().message(), "odd");
}

TEST(Result, asking_for_what_is_not_there_is_a_bug) {
  EXPECT_THROW(static_cast<void>(half(15).value()), std::bad_variant_access);
  EXPECT_THROW(static_cast<void>(half(14).error()), std::bad_variant_access);
  const Status done;
  EXPECT_THROW(static_cast<void>(done.error()), std::bad_variant_access);
}

TEST(Result, moves_what_cannot_be_copied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, arrow_reaches_into_the_value) {
  Result<std::string> text(std::string("abc"));
  EXPECT_EQ(text->size(), 3u);
  text->push_back('d');
  EXPECT_EQ(*text, "abcd");
}

TEST(Result, status_is_success_unless_told_otherwise) {
  EXPECT_TRUE(Status{}.ok());
  const Status failed = Error(ErrorCode::kOutput, "no space");
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message(), "no space");
}

TEST(Error, with_puts_what_was_done_in_front) {
  const Error error =
      Error(ErrorCode::kTargetGone, "no such process").with("reading maps of pid 7").with("explain");
  EXPECT_EQ(error.message(), "explain: reading maps of pid 7: no such process");
  EXPECT_EQ(error.code(), ErrorCode::kTargetGone);
}

TEST(Error, errno_becomes_text) {
  const Error error = errno_error(ErrorCode::kEnvironment, "opening x", EACCES);
  EXPECT_EQ(error.message(), "opening x: Permission denied");
}

}  // namespace
}  // namespace memwhy
