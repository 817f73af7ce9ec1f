// SPDX-License-Identifier: Apache-2.0
#include "app/units.h"

#include <gtest/gtest.h>

#include <chrono>

namespace memwhy::app {
namespace {

using namespace std::chrono_literals;

TEST(ParseSize, PrefixesAre1024Each) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("64K"), 65536U);
  EXPECT_EQ(parse_size("500m"), 524288000U);
  EXPECT_EQ(parse_size("1.5G"), 1610612736U);
  EXPECT_EQ(parse_size("2TiB"), 2199023255552U);
  EXPECT_EQ(parse_size("7B"), 7U);
  EXPECT_EQ(parse_size("3kb"), 3072U);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "K", "-1", "+1", "1e3", "1X", "1KK", "1 K", "1.2.3K", "inf", "nan", "0x10", "99999999T"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(ParseDuration, UnitsAndPlainSeconds) {
  EXPECT_EQ(parse_duration("30"), 30s);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("2h"), 2h);
  EXPECT_EQ(parse_duration("3d"), 72h);
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "s", "-5s", "5 s", "5M", "1h30m", "yesterday", "1e9", "40000d"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Texts, Durations) {
  EXPECT_EQ(duration_text(18s), "18 s");
  EXPECT_EQ(duration_text(119600ms), "2 min 00 s");
  EXPECT_EQ(duration_text(3723s), "62 min 03 s");
  EXPECT_EQ(duration_text(26h + 5min), "26 h 05 min");
}

}  // namespace
}  // namespace memwhy::app
