// SPDX-License-Identifier: Apache-2.0
#include "probe/run_time.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace memwhy::probe {
namespace {

constexpr uint64_t kMs = 1'000'000;

// A kernel that counts, while somebody's statistics are on, a run of 3 us each millisecond.
struct Kernel {
  uint64_t runs = 0;
  int enabled = 0;
  std::vector<RunTime::Program> read() const { return {{"fault", runs, runs * 3000}}; }
  Fd enable() {
    ++enabled;
    return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
};

RunTime make(RunTime::Mode mode, Kernel& kernel) {
  return {mode, 1000 * kMs, [&] { return kernel.read(); }, [&] { return kernel.enable(); }};
}

TEST(RunTime, IsWatchedInWindows) {
  Kernel kernel;
  kernel.runs = 77;  // of somebody else's statistics, before
  RunTime time = make(RunTime::Mode::kSampled, kernel);
  for (uint64_t ms = 0; ms < 12'000; ms += 10) {
    time.tick((1000 + ms) * kMs);
    // The others' statistics stay on: what is counted between the windows must not be taken.
    kernel.runs += 10;
  }
  EXPECT_EQ(kernel.enabled, 3);  // at 0.5, 5.5 and 10.5 s
  EXPECT_EQ(time.costs(13'000 * kMs), (std::vector<events::ProgramCost>{{"fault", 150, 450'000, 150 * kMs}}));
}

TEST(RunTime, IsWatchedEachSecondForABudget) {
  Kernel kernel;
  RunTime time = make(RunTime::Mode::kClosely, kernel);
  for (uint64_t ms = 0; ms < 3'000; ms += 10) {
    time.tick((1000 + ms) * kMs);
    kernel.runs += 10;
  }
  EXPECT_EQ(kernel.enabled, 3);  // at 0.5, 1.5 and 2.5 s
  EXPECT_EQ(time.costs(4'000 * kMs), (std::vector<events::ProgramCost>{{"fault", 150, 450'000, 150 * kMs}}));
}

TEST(RunTime, AnOpenWindowCounts) {
  Kernel kernel;
  RunTime time = make(RunTime::Mode::kSampled, kernel);
  time.tick(1500 * kMs);
  kernel.runs = 20;
  EXPECT_EQ(time.costs(1520 * kMs), (std::vector<events::ProgramCost>{{"fault", 20, 60'000, 20 * kMs}}));
}

TEST(RunTime, AlwaysIsFromTheStart) {
  Kernel kernel;
  RunTime time = make(RunTime::Mode::kAlways, kernel);
  kernel.runs = 5;
  time.tick(9000 * kMs);
  EXPECT_EQ(time.costs(9000 * kMs), (std::vector<events::ProgramCost>{{"fault", 5, 15'000, 8000 * kMs}}));
  EXPECT_EQ(kernel.enabled, 1);
}

TEST(RunTime, OffKnowsNothing) {
  Kernel kernel;
  RunTime time = make(RunTime::Mode::kOff, kernel);
  time.tick(1500 * kMs);
  EXPECT_TRUE(time.costs(1520 * kMs).empty());
  EXPECT_EQ(kernel.enabled, 0);
}

}  // namespace
}  // namespace memwhy::probe
