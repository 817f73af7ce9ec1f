// SPDX-License-Identifier: Apache-2.0
#include "events/mapping_at.h"

#include <gtest/gtest.h>

namespace memwhy::events {
namespace {

std::vector<Vma> three() {
  std::vector<Vma> out(3);
  out[0].range = {0x400000, 0x410000};
  out[1].range = {0x410000, 0x412000};
  out[2].range = {0x900000, 0x940000};
  return out;
}

TEST(MappingAt, EdgesAndHoles) {
  const std::vector<Vma> vmas = three();
  EXPECT_EQ(mapping_at(vmas, 0x3fffff), nullptr);
  EXPECT_EQ(mapping_at(vmas, 0x400000), &vmas[0]);
  EXPECT_EQ(mapping_at(vmas, 0x40ffff), &vmas[0]);
  EXPECT_EQ(mapping_at(vmas, 0x410000), &vmas[1]);
  EXPECT_EQ(mapping_at(vmas, 0x412000), nullptr);
  EXPECT_EQ(mapping_at(vmas, 0x93ffff), &vmas[2]);
  EXPECT_EQ(mapping_at(vmas, 0x940000), nullptr);
  EXPECT_EQ(mapping_at({}, 0), nullptr);
}

TEST(FirstEndingAfter, IsTheNextOneInAHole) {
  const std::vector<Vma> vmas = three();
  EXPECT_EQ(first_ending_after(vmas, 0x412000) - vmas.begin(), 2);
  EXPECT_EQ(first_ending_after(vmas, 0x940000), vmas.end());
}

}  // namespace
}  // namespace memwhy::events
