// SPDX-License-Identifier: Apache-2.0
// Stacks as they leave: once, and again when more is known of them.
#include "record/lives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memwhy::record {
namespace {

using events::Unwind;
using testing::ElementsAre;

struct Out final : events::EventSink {
  void on_event(const events::Event& event) override {
    if (const auto* stack = std::get_if<events::Stack>(&event.payload))
      told.emplace_back(static_cast<uint32_t>(stack->id), stack->unwind);
  }
  std::vector<std::pair<uint32_t, Unwind>> told;
};

events::Event stack(uint32_t id, Unwind how, uint32_t space = 1) {
  events::Stack one;
  one.id = StackId{id};
  one.space = SpaceId{space};
  one.unwind = how;
  one.frames = {0x1000};
  return {1, one};
}

TEST(Lives, AStackPassesOnceAndAgainWhenMoreIsKnownOfIt) {
  Out out;
  Lives lives(out);
  lives.pass(stack(1, Unwind::kFramePointers));
  lives.pass(stack(1, Unwind::kFramePointers, 2));  // to another space, the same
  lives.pass(stack(1, Unwind::kRecovered));
  lives.pass(stack(1, Unwind::kRecovered, 2));
  lives.pass(stack(1, Unwind::kSeveral));
  EXPECT_THAT(out.told, ElementsAre(std::pair(1u, Unwind::kFramePointers), std::pair(1u, Unwind::kRecovered),
                                    std::pair(1u, Unwind::kSeveral)));
}

TEST(Lives, StacksOfFarIdsAreToldApart) {
  Out out;
  Lives lives(out);
  for (const uint32_t id : {4095u, 4096u, 8191u, 1u << 30, 4095u}) lives.pass(stack(id, Unwind::kWhole));
  EXPECT_EQ(out.told.size(), 4u);
}

}  // namespace
}  // namespace memwhy::record
