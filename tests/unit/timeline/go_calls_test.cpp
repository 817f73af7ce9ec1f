// SPDX-License-Identifier: Apache-2.0
// Calls of the Go runtime's rare functions: sums by stack and size, and what stays bounded.
#include "timeline/go/calls.h"

#include <gtest/gtest.h>

#include "support/event_script.h"
#include "timeline/timeline.h"

namespace memwhy::timeline {
namespace {

using events::GoFunction;

events::GoCall call(GoFunction function, uint64_t bytes, uint32_t stack) {
  return {SpaceId{1}, 1, function, bytes, StackId{stack}, 0};
}

TEST(GoCalls, AreSummedByStackAndSizeInWholePages) {
  Timeline timeline;
  testing::play(
      "@1 go-call 1 large_allocation 40000 s1\n@2 go-call 1 large_allocation 40960 s1\n"
      "@3 go-call 1 large_allocation 100000 s1\n@4 go-call 1 heap_grow 4M s2\n@5 go-call 2 heap_grow 8M s2",
      timeline);
  const std::vector<GoCallSite> all = timeline.space(SpaceId{1})->tracks().go.calls();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].bytes, 100'000u);
  EXPECT_EQ(all[0].object_bytes, 106'496u);
  EXPECT_EQ(all[1].bytes, 80'960u);
  EXPECT_EQ(all[1].calls, 2u);
  EXPECT_EQ(all[1].object_bytes, 40'960u);
  EXPECT_EQ(all[1].first, 1'000'000'000u);
  EXPECT_EQ(all[1].last, 2'000'000'000u);
  EXPECT_EQ(all[2].function, GoFunction::kHeapGrow);
  EXPECT_EQ(all[2].bytes, uint64_t{4} << 20);
}

TEST(GoCalls, OfTooManySitesTheLaterOnesAreOne) {
  GoCalls calls;
  for (uint32_t i = 1; i <= GoCalls::kMostSites + 100; ++i)
    calls.add(call(GoFunction::kLargeAllocation, 8192, i), i);
  const std::vector<GoCallSite> all = calls.all();
  EXPECT_EQ(all.size(), GoCalls::kMostSites + 1);
  EXPECT_EQ(all.front().stack, StackId::kNone);
  EXPECT_EQ(all.front().calls, 100u);
  uint64_t sum = 0;
  for (const GoCallSite& site : all) sum += site.calls;
  EXPECT_EQ(sum, GoCalls::kMostSites + 100);
}

TEST(GoCalls, AllThereIsIsNoNumberOfBytes) {
  GoCalls calls;
  calls.add(call(GoFunction::kScavenge, ~uint64_t{0}, 2), 1);
  EXPECT_EQ(calls.all().front().bytes, 0u);
  calls.add(call(GoFunction::kScavenge, 8192, 1), 1);
  calls.add(call(GoFunction::kScavenge, ~uint64_t{0}, 1), 2);
  EXPECT_EQ(calls.all().front().bytes, 8192u);
  EXPECT_EQ(calls.all().front().calls, 2u);
}

}  // namespace
}  // namespace memwhy::timeline
