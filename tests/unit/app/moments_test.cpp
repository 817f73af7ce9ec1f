// SPDX-License-Identifier: Apache-2.0
#include "app/moments.h"

#include <gtest/gtest.h>

#include "app/units.h"

namespace memwhy::app {
namespace {

using namespace std::chrono_literals;
using Since = Moment::Since;

TEST(ParseMoment, AfterTheStartBeforeTheEndAndByTheClock) {
  EXPECT_EQ(parse_moment("+30s")->since, Since::kStart);
  EXPECT_EQ(parse_moment("+30s")->time, 30s);
  EXPECT_EQ(parse_moment("90")->time, 90s);
  EXPECT_EQ(parse_moment("-5m")->since, Since::kEnd);
  EXPECT_EQ(parse_moment("-5m")->time, 5min);
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14Z")->since, Since::kEpoch);
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14Z")->time, 1795942034s);
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14.365Z")->time, 1795942034365ms);
  EXPECT_EQ(parse_moment("2026-11-29T10:47:14+02:00")->time, 1795942034s);
  EXPECT_EQ(parse_moment("2026-11-29T03:17:14-0530")->time, 1795942034s);
}

TEST(ParseMoment, KnowsHowExactlyItWasWritten) {
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14Z")->unit, 1s);
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14.365Z")->unit, 1ms);
  EXPECT_EQ(parse_moment("2026-11-29T08:47:14.1234567891Z")->unit, 0ns);
  EXPECT_EQ(parse_moment("+30s")->unit, 0ns);
}

TEST(ParseMoment, RefusesWhatIsNone) {
  for (const char* text :
       {"", "+", "-", "+-5s", "yesterday", "2026-11-29", "2026-11-29T08:47:14", "2026-11-29T08:47:14.Z",
        "2026-11-29T08:47:14Z ", "2026-11-29T08:47:14+2", "2026-13-29T08:47:14Z", "9999-01-01T00:00:00Z"})
    EXPECT_FALSE(parse_moment(text)) << text;
}

TEST(ParseShare, PartsAndPercent) {
  EXPECT_EQ(parse_share("5%"), 0.05);
  EXPECT_EQ(parse_share("0.25"), 0.25);
  EXPECT_EQ(parse_share("100%"), 1.0);
  for (const char* text : {"", "%", "-1", "101%", "2", "5 %", "5percent"})
    EXPECT_FALSE(parse_share(text)) << text;
}

}  // namespace
}  // namespace memwhy::app
