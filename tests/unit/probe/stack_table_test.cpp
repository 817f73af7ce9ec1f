// SPDX-License-Identifier: Apache-2.0
// What a stack was that was incomplete at first: who is given it again.
#include "probe/stack_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace memwhy::probe {
namespace {

using events::Unwind;
using testing::IsEmpty;

constexpr uint32_t kSlots = 16;
constexpr uint32_t kMissAfter1 = MW_STACK_MISS | 1u << MW_STACK_CERTAIN_SHIFT;
using Frames = std::vector<uint64_t>;

struct Tables {
  std::vector<mw_u64> hashes = std::vector<mw_u64>(kSlots);
  std::vector<mw_stack> stacks = std::vector<mw_stack>(kSlots);
  StackTable table{hashes.data(), stacks.data(), kSlots, {}, true};

  void store(uint32_t slot, uint64_t hash, const Frames& frames, uint32_t flags) {
    stacks[slot].n = static_cast<mw_u32>(frames.size());
    stacks[slot].flags = flags;
    std::copy(frames.begin(), frames.end(), stacks[slot].ip);
    hashes[slot] = hash;
  }
  // What this listener is given when it meets the slot; without frames: nothing.
  events::Stack given(uint32_t slot, Listener listener) {
    std::vector<events::Stack> fresh;
    table.resolve(slot, listener, fresh);
    return fresh.empty() ? events::Stack{} : fresh.front();
  }
  // Nothing names the slot any more: it is free after three passes.
  void free(uint32_t slot) {
    std::vector<bool> named(kSlots, true);
    named[slot] = false;
    for (int i = 0; i < 3; ++i) table.sweep(named);
    EXPECT_EQ(hashes[slot], MW_SLOT_EMPTY);
  }
};

TEST(StackTable, SaysHowAStackWasFound) {
  Tables t;
  const std::pair<uint32_t, Unwind> all[] = {
      {MW_STACK_WHOLE, Unwind::kWhole},
      {0, Unwind::kStopped},
      {kMissAfter1 | MW_STACK_WHOLE | MW_STACK_GUESS, Unwind::kFramePointers},
      {MW_STACK_GUESS | MW_STACK_JIT | MW_STACK_WHOLE, Unwind::kGuess},
      {MW_STACK_JIT | MW_STACK_WHOLE, Unwind::kJit},
  };
  uint32_t slot = 0;
  for (const auto& [flags, how] : all) {
    ++slot;
    t.store(slot, 0xbee0 + slot, {0x1000, 0x2000}, flags);
    const events::Stack stack = t.given(slot, SpaceId{1});
    EXPECT_EQ(stack.unwind, how) << flags;
    EXPECT_EQ(stack.certain, flags >> MW_STACK_CERTAIN_SHIFT);
  }
  StackTable without(t.hashes.data(), t.stacks.data(), kSlots);
  std::vector<events::Stack> fresh;
  without.resolve(1, SpaceId{1}, fresh);
  EXPECT_EQ(fresh.at(0).unwind, Unwind::kFramePointers) << "no rules are used: nothing is certain";
}

TEST(StackTable, WhatAStackWasIsGivenToEachWhoWasGivenIt) {
  Tables t;
  t.store(5, 0xbeef, {0x1000, 0x9999}, kMissAfter1);
  const Listener first(SpaceId{1}, 1), fork(SpaceId{2}, 1), other_port(SpaceId{1}, 2);
  for (const Listener& listener : {first, fork, other_port})
    EXPECT_EQ(t.given(5, listener).frames, (Frames{0x1000, 0x9999}));
  const auto again = t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kRecovered);
  std::vector<Listener> told;
  for (const auto& [listener, stack] : again) {
    told.push_back(listener);
    EXPECT_EQ(stack.id, StackId{1}) << "the same id";
    EXPECT_EQ(stack.space, listener.space);
    EXPECT_EQ(stack.frames, (Frames{0x1000, 0x2000, 0x3000}));
    EXPECT_EQ(stack.unwind, Unwind::kRecovered);
    EXPECT_EQ(stack.certain, 0u);
  }
  EXPECT_THAT(told, testing::UnorderedElementsAre(first, fork, other_port));
  const events::Stack late = t.given(5, Listener(SpaceId{3}, 1));
  EXPECT_EQ(late.frames, (Frames{0x1000, 0x2000, 0x3000})) << "who meets it later gets what is known now";
  EXPECT_EQ(late.unwind, Unwind::kRecovered);
}

TEST(StackTable, WhatWasGivenToNobodyIsNotGivenAgain) {
  Tables t;
  t.store(5, 0xbeef, {0x1000}, kMissAfter1);
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered), IsEmpty());
  EXPECT_EQ(t.given(5, SpaceId{1}).frames, (Frames{0x1000, 0x2000}));
}

TEST(StackTable, TwoCallersOfOneIncompleteStackAreNoneForCertain) {
  Tables t;
  t.store(5, 0xbeef, {0x1000, 0x9999}, kMissAfter1);
  t.given(5, SpaceId{1});
  EXPECT_EQ(t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered).size(), 1u);
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered), IsEmpty()) << "it is known";
  const auto again = t.table.complete(5, {0x1000, 0x3000}, Unwind::kRecovered);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].second.unwind, Unwind::kSeveral);
  EXPECT_EQ(again[0].second.frames, (Frames{0x1000, 0x9999})) << "as it was found first";
  EXPECT_EQ(again[0].second.certain, 1u);
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered), IsEmpty()) << "and stays so";
}

TEST(StackTable, WhatAStackWasIsForgottenWithItsSlot) {
  Tables t;
  t.store(5, 0xbeef, {0x1000, 0x9999}, kMissAfter1);
  t.given(5, SpaceId{1});
  t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered);
  t.free(5);
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kRecovered), IsEmpty()) << "nothing is there";
  t.store(5, 0x77aa, {0x7000}, MW_STACK_WHOLE);
  const events::Stack next = t.given(5, SpaceId{1});
  EXPECT_EQ(next.frames, (Frames{0x7000}));
  EXPECT_EQ(next.unwind, Unwind::kWhole);
  t.free(5);
  t.store(5, 0xbeef, {0x1000, 0x9999}, kMissAfter1);
  EXPECT_EQ(t.given(5, SpaceId{2}).unwind, Unwind::kFramePointers) << "it came back, from wherever";
}

// A snapshot may wait while the slot that it names is freed and taken by another stack.
TEST(StackTable, ASlotThatHasAnotherStackByNowIsLeftAlone) {
  Tables t;
  t.store(5, 0x77aa, {0x7000, 0x8000, 0x9999}, MW_STACK_MISS | 2u << MW_STACK_CERTAIN_SHIFT);
  t.given(5, SpaceId{1});
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kRecovered), IsEmpty());
  EXPECT_THAT(t.table.complete(5, {0x7000, 0x2000, 0x3000}, Unwind::kRecovered), IsEmpty())
      << "the second frame is certain too";
  EXPECT_EQ(t.table.complete(5, {0x7000, 0x8000, 0x3000}, Unwind::kRecovered).size(), 1u);
  EXPECT_EQ(t.given(5, SpaceId{2}).frames, (Frames{0x7000, 0x8000, 0x3000}));
}

TEST(StackTable, NoSlotNoStack) {
  Tables t;
  EXPECT_THAT(t.table.complete(MW_ENTRY_STACK_LOST, {1, 2}, Unwind::kRecovered), IsEmpty());
  EXPECT_THAT(t.table.complete(kSlots, {1, 2}, Unwind::kRecovered), IsEmpty());
  t.hashes[5] = 0xbeef;  // claimed, its frames are being written
  EXPECT_THAT(t.table.complete(5, {1, 2}, Unwind::kRecovered), IsEmpty());
}

}  // namespace
}  // namespace memwhy::probe
