// SPDX-License-Identifier: Apache-2.0
// Which variable leads to an object that the linker laid out between variables.
#include <gtest/gtest.h>

#include <vector>

#include "goruntime/static_pointers.h"

namespace memwhy::goruntime::test {
namespace {

using Words = std::vector<uint64_t>;

const std::vector<AddressRange> kVariables = {{0x1000, 0x1008}, {0x1008, 0x1020}, {0x2000, 0x2008}};

TEST(StaticPointers, the_way_to_a_variable) {
  StaticPointers pointers(kVariables);
  pointers.add(0x1000, 0x1100);  // a variable, to an object
  pointers.add(0x1110, 0x1200);  // whose third word leads to another
  EXPECT_EQ(pointers.leading_to(0x1108), (Words{0x1000}));
  EXPECT_EQ(pointers.leading_to(0x1210), (Words{0x1110, 0x1000}));
  EXPECT_EQ(pointers.leading_to(0x1000), Words{}) << "it is one";
  EXPECT_EQ(pointers.leading_to(0x1080), Words{}) << "nothing points before it";
  EXPECT_EQ(pointers.leading_to(0x2010), Words{}) << "a variable lies between";
}

TEST(StaticPointers, a_pointer_to_a_variable_names_nothing_behind_it) {
  StaticPointers pointers(kVariables);
  pointers.add(0x1000, 0x1018);
  EXPECT_EQ(pointers.leading_to(0x1020), Words{});
}

TEST(StaticPointers, of_two_that_of_a_variable_counts) {
  StaticPointers pointers(kVariables);
  pointers.add(0x1300, 0x1200);
  pointers.add(0x1008, 0x1200);
  pointers.add(0x1308, 0x1200);
  EXPECT_EQ(pointers.leading_to(0x1200), (Words{0x1008}));
}

TEST(StaticPointers, a_ring_ends) {
  StaticPointers pointers(kVariables);
  pointers.add(0x1200, 0x1300);
  pointers.add(0x1300, 0x1200);
  EXPECT_EQ(pointers.leading_to(0x1300), (Words{0x1200, 0x1300}));
}

}  // namespace
}  // namespace memwhy::goruntime::test
