// SPDX-License-Identifier: Apache-2.0
// What a stack was that was incomplete at first: who is given it again.
#include "probe/stack_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace memwhy::probe {
namespace {

using events::Unwind;
using testing::IsEmpty;

constexpr uint32_t kSlots = 16;
constexpr uint32_t kMissAfter1 = MW_STACK_MISS | 1u << MW_STACK_CERTAIN_SHIFT;
using Frames = std::vector<uint64_t>;

// The kernel side's nodes, claimed one after the other.
struct MadeNodes {
  static constexpr uint32_t kCount = 64;
  std::vector<mw_node> all = std::vector<mw_node>(kCount);

  void store(mw_stack& stack, const Frames& frames) {
    stack.n = static_cast<mw_u32>(frames.size());
    stack.outer = MW_NO_NODE;
    for (size_t left = frames.size(); left > MW_INNER_FRAMES;) {
      std::array<uint64_t, MW_NODE_FRAMES> run{};
      for (uint64_t& frame : run)
        if (left > MW_INNER_FRAMES) frame = frames[--left];
      stack.outer = node(stack.outer, run);
    }
    std::copy_n(frames.begin(), std::min<size_t>(frames.size(), MW_INNER_FRAMES), stack.ip);
  }
  uint32_t node(uint32_t caller, const std::array<uint64_t, MW_NODE_FRAMES>& run) {
    for (uint32_t at = 0; at < kCount; ++at) {
      if (all[at].hash == MW_SLOT_EMPTY) {
        all[at] = {0x100 + at, {}, caller, 7};
        std::ranges::copy(run, all[at].frames);
      }
      if (all[at].caller == caller && std::ranges::equal(run, all[at].frames)) return at;
    }
    std::abort();
  }
  uint32_t used() const {
    return static_cast<uint32_t>(std::count_if(
        all.begin(), all.end(), [](const mw_node& node) { return node.hash != MW_SLOT_EMPTY; }));
  }
};

struct Tables {
  std::vector<mw_u64> hashes = std::vector<mw_u64>(kSlots);
  std::vector<mw_stack> stacks = std::vector<mw_stack>(kSlots);
  MadeNodes nodes;
  std::vector<SpaceId> freed_nodes;
  StackTable table{hashes.data(),
                   stacks.data(),
                   kSlots,
                   {},
                   true,
                   StackNodes(nodes.all.data(), MadeNodes::kCount,
                              [this](SpaceId owner) { freed_nodes.push_back(owner); })};

  void store(uint32_t slot, uint64_t hash, const Frames& frames, uint32_t flags) {
    stacks[slot].flags = flags;
    nodes.store(stacks[slot], frames);
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
      {MW_STACK_JIT, Unwind::kGuess},  // it ended in made code
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

// The walk followed frame pointers to the goroutine, of whose stack the copy shows nothing.
TEST(StackTable, ACopyThatEndsSoonerAndAgreesTakesNothingAway) {
  Tables t;
  t.store(5, 0xbeef, {0x1000, 0x2000, 0x3000, 0x4000}, kMissAfter1);
  t.given(5, SpaceId{1});
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kStopped), IsEmpty());
  EXPECT_EQ(t.given(5, SpaceId{2}).frames, (Frames{0x1000, 0x2000, 0x3000, 0x4000}));
  EXPECT_EQ(t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kRecovered).size(), 2u) << "it is whole";
}

// A copy of a stack that leads into code which nothing describes shows how it begins.
TEST(StackTable, WhatIsLongerReplacesAStackWithoutBeingWhole) {
  Tables t;
  t.store(5, 0xbeef, {0x1000, 0x9999, 0x8888}, kMissAfter1);
  t.given(5, SpaceId{1});
  EXPECT_THAT(t.table.complete(5, {0x1000}, Unwind::kStopped), IsEmpty())
      << "no more than is certain already";
  const auto longer = t.table.complete(5, {0x1000, 0x2000}, Unwind::kStopped);
  ASSERT_EQ(longer.size(), 1u);
  EXPECT_EQ(longer[0].second.unwind, Unwind::kStopped);
  EXPECT_EQ(longer[0].second.frames, (Frames{0x1000, 0x2000}));
  EXPECT_EQ(longer[0].second.certain, 0u) << "all of it is";
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kStopped), IsEmpty()) << "it is known";
  EXPECT_EQ(t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kStopped).size(), 1u);
  const auto whole = t.table.complete(5, {0x1000, 0x2000, 0x3000}, Unwind::kRecovered);
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].second.unwind, Unwind::kRecovered) << "the last of them is the outermost";
  EXPECT_THAT(t.table.complete(5, {0x1000, 0x2000}, Unwind::kStopped), IsEmpty()) << "that is how it begins";
  const auto other = t.table.complete(5, {0x1000, 0x4000}, Unwind::kStopped);
  ASSERT_EQ(other.size(), 1u);
  EXPECT_EQ(other[0].second.unwind, Unwind::kSeveral);
  EXPECT_EQ(other[0].second.frames, (Frames{0x1000, 0x9999, 0x8888}));
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

// Six stand in the slot, and seven are in two nodes: {6008 .. 6003} <- {6002}.
Frames deep(uint64_t second) {
  return {0x1000, second, 0x3000, 0x4000, 0x5000, 0x6001, 0x6002,
          0x6003, 0x6004, 0x6005, 0x6006, 0x6007, 0x6008};
}

TEST(StackTable, OuterFramesThatTwoStacksHaveAreTheirs) {
  Tables t;
  t.store(1, 0xbee1, deep(0x2000), MW_STACK_WHOLE);
  t.store(2, 0xbee2, deep(0x2222), MW_STACK_WHOLE);
  EXPECT_EQ(t.nodes.used(), 2u);
  EXPECT_EQ(t.given(1, SpaceId{1}).frames, deep(0x2000));
  EXPECT_EQ(t.given(2, SpaceId{1}).frames, deep(0x2222));
  t.free(1);
  for (int pass = 0; pass < 4; ++pass) t.table.sweep(std::vector<bool>(kSlots, true));
  EXPECT_EQ(t.nodes.used(), 2u) << "the other stack has them";
  t.free(2);
  std::vector<bool> none(kSlots);
  for (int pass = 0; pass < 3; ++pass) t.table.sweep(none);
  EXPECT_EQ(t.nodes.used(), 0u);
  EXPECT_EQ(t.freed_nodes.size(), 2u);
  EXPECT_FALSE(t.table.has_tombs());
}

TEST(StackTable, AStackWhoseOuterFramesAreBeingWrittenComesLater) {
  Tables t;
  t.store(1, 0xbee1, deep(0x2000), MW_STACK_WHOLE);
  mw_node& node = t.nodes.all[t.stacks[1].outer];
  const uint64_t frame = node.frames[0];
  node.frames[0] = 0;
  std::vector<events::Stack> fresh;
  EXPECT_EQ(t.table.resolve(1, SpaceId{1}, fresh), std::nullopt);
  node.frames[0] = frame;
  EXPECT_TRUE(t.table.resolve(1, SpaceId{1}, fresh));
  EXPECT_EQ(fresh.at(0).frames, deep(0x2000));
}

// A program has found a node just before it became a tomb, and a stack leads to it when the next pass comes.
TEST(StackTable, ATombThatAStackLeadsToIsANodeAgain) {
  Tables t;
  t.store(1, 0xbee1, deep(0x2000), MW_STACK_WHOLE);
  const uint32_t at = t.stacks[1].outer;
  const uint64_t hash = t.nodes.all[at].hash;
  t.stacks[1].n = 0;
  StackNodes nodes(t.nodes.all.data(), MadeNodes::kCount);
  for (int pass = 0; pass < 2; ++pass) nodes.sweep(t.stacks.data(), kSlots);
  EXPECT_EQ(t.nodes.all[at].hash, MW_SLOT_TOMB);
  t.stacks[1].n = 13;
  nodes.sweep(t.stacks.data(), kSlots);
  EXPECT_EQ(t.nodes.all[at].hash, hash);
  EXPECT_EQ(nodes.frames(t.stacks[1]), deep(0x2000));
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
