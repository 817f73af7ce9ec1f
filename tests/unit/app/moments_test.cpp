// SPDX-License-Identifier: Apache-2.0
#include "app/moments.h"

#include <gtest/gtest.h>

#include "app/units.h"
#include "unit/trace/samples.h"

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

// The clock was set by an hour meanwhile: explain prints moments by the one of the end, info the first one by the other.
TEST(IntervalOf, TakesWhatIsPrintedWhereTheClockWasSet) {
  using namespace events;
  constexpr uint64_t kEpoch = 1'795'942'034'000'000'000, kSecond = 1'000'000'000, kHour = 3600 * kSecond;
  const std::vector<Event> all = {
      {9000 * kSecond, RecordingInfo{"0.1.0", "web-1", "6.18", "x86_64", 4, 4096, 7, {"pid 4711"}}},
      {9000 * kSecond, ClockAnchor{9000 * kSecond, 0, kEpoch, 5}},
      {9060 * kSecond, ClockAnchor{9060 * kSecond, 0, kEpoch + 60 * kSecond + kHour, 9}}};
  const auto reader = trace::Reader::from_bytes(trace::test::recording_of(all, 2, "stopped"));
  const auto to = [&](const char* text) {
    return interval_of(*reader, {std::nullopt, parse_moment(text)})->to / kSecond;
  };
  EXPECT_EQ(to("2026-11-29T09:47:44Z"), 9030u);
  EXPECT_EQ(to("2026-11-29T08:47:54Z"), 9040u);
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
