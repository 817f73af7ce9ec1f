// SPDX-License-Identifier: Apache-2.0
// The table of what a walk has met says what a map would, through all of its growth.
#include "goruntime/color_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

namespace memwhy::goruntime::test {
namespace {

using Meeting = ColorTable::Meeting;

TEST(ColorTable, an_object_has_the_color_that_it_was_met_in_first_and_is_shared_by_the_second) {
  ColorTable table;
  EXPECT_EQ(table.meet(0xc000'0100, 7), Meeting::kNew);
  EXPECT_EQ(table.meet(0xc000'0100, 7), Meeting::kKnown);
  EXPECT_EQ(table.meet(0xc000'0100, 9), Meeting::kNowShared);
  EXPECT_EQ(table.meet(0xc000'0100, 9), Meeting::kKnown);
  EXPECT_EQ(table.meet(0xc000'0100, 7), Meeting::kKnown);
  EXPECT_EQ(table.meet(0xc000'0200, 0), Meeting::kNew);
  EXPECT_EQ(table.meet(0xc000'0200, 7), Meeting::kNowShared);
  EXPECT_EQ(table.size(), 2u);
}

TEST(ColorTable, says_what_a_map_says) {
  std::mt19937_64 random(1);
  ColorTable table;
  std::map<uint64_t, std::pair<uint32_t, bool>> truth;
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t address = 0xc000'0000 + random() % 100'000 * 16 + (random() % 2 << 40);
    const auto color = static_cast<uint32_t>(random() % 3);
    const auto [known, fresh] = truth.try_emplace(address, color, false);
    const bool shares = !fresh && !known->second.second && known->second.first != color;
    known->second.second |= shares;
    ASSERT_EQ(table.meet(address, color), fresh    ? Meeting::kNew
                                          : shares ? Meeting::kNowShared
                                                   : Meeting::kKnown);
  }
  EXPECT_EQ(table.size(), truth.size());
  std::map<uint64_t, std::pair<uint32_t, bool>> told;
  table.for_each([&](uint64_t address, uint32_t first, bool shared) {
    EXPECT_TRUE(told.try_emplace(address, first, shared).second);
  });
  EXPECT_EQ(told, truth);
}

}  // namespace
}  // namespace memwhy::goruntime::test
