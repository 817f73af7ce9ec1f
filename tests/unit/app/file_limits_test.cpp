// SPDX-License-Identifier: Apache-2.0
// What reading a file may take is a limit of the process: beyond it there is one sentence and exit status 6, whatever was at
// work.
#include "app/file_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

namespace memwhy::app {
namespace {

using namespace std::chrono_literals;

TEST(FileLimits, MoreMemoryIsRefusedAndCostsOnlyTheFile) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer ends a process that gets no more memory";
#endif
  std::vector<std::unique_ptr<char[]>> held;
  const Status done = within({64u << 20, {}}, "x.memwhy", [&held]() -> Status {
    for (int i = 0; i < 1024; ++i) held.push_back(std::make_unique<char[]>(1u << 20));
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(done.error().message().find("x.memwhy: it takes more than 64.0 MiB of memory"), std::string::npos)
      << done.error().message();
  EXPECT_NE(done.error().message().find("--max-memory"), std::string::npos);
  EXPECT_GE(held.size(), 48u);
  EXPECT_LE(held.size(), 64u);
  held.clear();
  EXPECT_EQ(std::make_unique<char[]>(200u << 20)[0], 0) << "the limit ends with the work";
}

TEST(FileLimits, ALengthThatNoListCanHaveIsTooLarge) {
  const Status done = within({}, "x.memwhy", []() -> Status { throw std::length_error("vector"); });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBadInput);
}

TEST(FileLimits, WorkWithinThemIsLeftAlone) {
  EXPECT_TRUE(within({}, "x", []() -> Status { return {}; }));
  const Status failed = within({}, "x", []() -> Status { return Error(ErrorCode::kOutput, "full"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "full");
  EXPECT_GE(default_memory_limit(), uint64_t{256} << 20);
}

TEST(FileLimitsDeathTest, WorkThatDoesNotComeBackEndsWithItsSentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const Status never = within({0, 50ms}, "x.memwhy", []() -> Status {
          for (std::atomic<uint64_t> at = 0;; ++at) {
          }
        });
      },
      ::testing::ExitedWithCode(6),
      "memwhy: x.memwhy: it takes more than .* of CPU time to read; .*--max-time");
}

}  // namespace
}  // namespace memwhy::app
