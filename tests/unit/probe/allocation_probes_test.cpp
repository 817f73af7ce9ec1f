// SPDX-License-Identifier: Apache-2.0
#include "probe/allocation_probes.h"

#include <gtest/gtest.h>
#include <time.h>

#include <condition_variable>
#include <mutex>

#include "base/time.h"

namespace memwhy::probe {
namespace {

constexpr TimeNs kMs = 1'000'000;

// A look goes over all processes of the machine.
TEST(AllocationProbes, LookLessOftenTheLongerAMapIsLocked) {
  constexpr int kLooks = 7;
  std::mutex mutex;
  std::condition_variable looked;
  int looks = 0;
  int32_t left = 0;
  AllocationProbes probes(
      nullptr, UprobeWay::kPerf, "", {}, [&](SpaceId) { return &left; },
      [&](SpaceId, uint64_t site, std::optional<MapLooks>&) {
        EXPECT_EQ(site, 0x7f0000001000u);
        const std::lock_guard lock(mutex);
        ++looks;
        looked.notify_all();
        return MapState::kHeld;
      });
  events::AllocationProbePlan plan;
  plan.sites.push_back({"malloc", 0x1000, 0x7f0000001000, 0x53});
  const TimeNs begun = clock_ns(CLOCK_MONOTONIC);
  probes.attach(SpaceId{1}, std::move(plan));
  std::unique_lock lock(mutex);
  looked.wait(lock, [&] { return looks >= kLooks; });
  EXPECT_GE(clock_ns(CLOCK_MONOTONIC) - begun, (1 + 2 + 4 + 8 + 16 + 32) * kMs);
  lock.unlock();
  EXPECT_EQ(probes.links(), 0u);
}

// A busy program makes them before the probes are away, and while the next turn begins.
TEST(AllocationProbes, CallsThatCameTooLateTakeNothingOffTheNextTurn) {
  int32_t left = -500;
  EXPECT_EQ(give_calls(left, 60), 500u);
  EXPECT_EQ(left, 60);
  EXPECT_EQ(give_calls(left, 60), 0u);
  EXPECT_EQ(left, 120) << "of a quiet one";
  left = 0;
  EXPECT_EQ(give_calls(left, 60), 0u);
  EXPECT_EQ(left, 60);
}

}  // namespace
}  // namespace memwhy::probe
