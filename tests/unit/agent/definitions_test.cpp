// SPDX-License-Identifier: Apache-2.0
// What rings are given of processes that come and go for ever.
#include "agent/definitions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace memwhy::agent {
namespace {

constexpr uint32_t kStacksOfSpace = 50;

struct Ring : events::EventSink {
  std::vector<StackId> stacks;
  std::vector<uint64_t> symbols;
  void on_event(const events::Event& event) override {
    if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks.push_back(stack->id);
    if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
      symbols.push_back(symbol->address);
  }
  Definitions::Given given;
};

class DefinitionsTest : public ::testing::Test {
 protected:
  // 50 stacks of two frames with their names, and another address in each space.
  void live(uint32_t space) {
    for (uint32_t i = 0; i < kStacksOfSpace; ++i) {
      events::Stack stack;
      stack.id = stack_of(space, i);
      stack.space = SpaceId{space};
      for (const uint64_t address : {address_of(space, i), address_of(space, i) + 8}) {
        stack.frames.push_back(address);
        events::SymbolInfo symbol;
        symbol.space = stack.space;
        symbol.address = address;
        symbol.frames.push_back({.function = "serve", .file = "server.c"});
        definitions_.remember({++now_, symbol});
      }
      definitions_.remember({++now_, stack});
    }
  }
  static StackId stack_of(uint32_t space, uint32_t i) { return StackId{space * kStacksOfSpace + i}; }
  static uint64_t address_of(uint32_t space, uint32_t i) { return (uint64_t{space} << 32) + i * 16; }
  // A page of the space came by this stack.
  void use(Ring& ring, uint32_t space, StackId stack) {
    events::HeapGrown event;
    event.space = SpaceId{space};
    event.stack = stack;
    definitions_.give_for({++now_, event}, ring.given, ring);
  }

  Definitions definitions_;
  TimeNs now_ = 1;
};

TEST_F(DefinitionsTest, OfProcessesThatComeAndGoABoundedPartStays) {
  live(1);  // one that stays
  uint64_t most = 0;
  for (uint32_t space = 2; space < 2000; ++space) {
    live(space);
    definitions_.end(SpaceId{space});
    most = std::max(most, definitions_.bytes());
  }
  EXPECT_LE(most, Definitions::kMostOfEnded + (256u << 10));
  Ring ring;
  for (uint32_t i = 0; i < kStacksOfSpace; ++i) use(ring, 1, stack_of(1, i));
  EXPECT_EQ(ring.stacks.size(), kStacksOfSpace);
  EXPECT_EQ(ring.symbols.size(), 2 * kStacksOfSpace);
  use(ring, 1, stack_of(2, 0));  // long forgotten
  EXPECT_EQ(ring.stacks.size(), kStacksOfSpace);
}

// A forked child has pages by its parent's stacks.
TEST_F(DefinitionsTest, WhatIsUsedStaysWhenItsSpaceHasEnded) {
  live(1);
  definitions_.end(SpaceId{1});
  Ring ring;
  for (uint32_t space = 2; space < 2000; ++space) {
    live(space);
    use(ring, 3000, stack_of(1, 7));
    definitions_.end(SpaceId{space});
  }
  Ring late;
  use(late, 3000, stack_of(1, 7));
  EXPECT_EQ(late.stacks, std::vector<StackId>{stack_of(1, 7)});
  EXPECT_EQ(late.symbols, (std::vector<uint64_t>{address_of(1, 7), address_of(1, 7) + 8}));
  // A ring notes no more than there is.
  EXPECT_LT(ring.given.stacks.size(), 3 * kStacksOfSpace);
}

TEST_F(DefinitionsTest, ANameThatComesAfterTheEndCountsToo) {
  for (uint32_t space = 2; space < 4000; ++space) {
    live(space);
    definitions_.end(SpaceId{space});
    events::SymbolInfo late;
    late.space = SpaceId{space};
    late.address = 1;
    late.frames.push_back({.function = std::string(1000, 'f'), .file = ""});
    definitions_.remember({++now_, late});
  }
  EXPECT_LE(definitions_.bytes(), Definitions::kMostOfEnded + (256u << 10));
}

}  // namespace
}  // namespace memwhy::agent
