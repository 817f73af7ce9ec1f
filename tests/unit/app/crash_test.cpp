// SPDX-License-Identifier: Apache-2.0
// What is said when memwhy ends by a signal of its own: which, the build and where; and that it still ends by it.
#include "app/crash.h"

#include <gtest/gtest.h>

#include <csignal>

namespace memwhy::app {
namespace {

void crash() {
  report_crashes();
  static_cast<void>(::raise(SIGSEGV));
}

TEST(CrashDeathTest, SaysWhereAndEndsByTheSignal) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer reports more";
#endif
  EXPECT_EXIT(crash(), ::testing::KilledBySignal(SIGSEGV),
              "a bug in memwhy [0-9.]+ ended it \\(SIGSEGV\\).*build [0-9a-f]{40}, at.*\\+0x[0-9a-f]+");
}

int deeper(int depth) {
  volatile char frame[4096] = {};
  return depth == 0 ? frame[0] : deeper(depth - 1) + frame[depth % 4096];
}

TEST(CrashDeathTest, AlsoWhenTheStackIsUsedUp) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer reports more";
#endif
  EXPECT_EXIT((report_crashes(), deeper(1 << 30)), ::testing::KilledBySignal(SIGSEGV),
              "ended it \\(SIGSEGV\\)");
}

}  // namespace
}  // namespace memwhy::app
