// SPDX-License-Identifier: Apache-2.0
// Collections and their pauses: sums, the longest, and those that a poll came too late for.
#include <gtest/gtest.h>

#include "support/event_script.h"
#include "timeline/timeline.h"

namespace memwhy::timeline {
namespace {

TEST(GoPauses, AreSummedOverPolls) {
  Timeline timeline;
  testing::play(
      "@1 go-statistics 1 gc=37\n"
      "@2 go-statistics 1 gc=39 pause=38:1000:41200 pause=39:2000:99000\n"
      "@3 go-statistics 1 gc=39\n"
      "@4 go-statistics 1 gc=340 pause=86:3000:5 pause=87:4000:10",
      timeline);
  const GoPauses& pauses = timeline.space(SpaceId{1})->tracks().go.pauses();
  EXPECT_EQ(pauses.collections, 4u);
  EXPECT_EQ(pauses.missed, 46u) << "40 to 85";
  EXPECT_EQ(pauses.total_ns, 140'215u);
  EXPECT_EQ(pauses.longest, (events::GoPause{39, 2000, 99'000}));
}

}  // namespace
}  // namespace memwhy::timeline
