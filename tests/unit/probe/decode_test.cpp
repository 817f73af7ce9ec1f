// SPDX-License-Identifier: Apache-2.0
#include "probe/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace memwhy::probe {
namespace {

struct Tables {
  std::vector<mw_u64> hashes = std::vector<mw_u64>(16);
  std::vector<mw_stack> stacks = std::vector<mw_stack>(16);
  StackTable table{hashes.data(), stacks.data(), 16};
  void put(uint32_t slot, uint64_t hash, std::vector<uint64_t> frames) {
    hashes[slot] = hash;
    std::copy(frames.begin(), frames.end(), stacks[slot].ip);
    stacks[slot].n = static_cast<uint32_t>(frames.size());
  }
};

TEST(Decode, GivesTheStackBeforeTheEventThatNamesIt) {
  Tables t;
  t.put(3, 0xbeef, {0x401000, 0x402000});
  mw_vma_map record{};
  record.h = {MW_EVENT_VMA_MAP, 7, 100, 101, 5000, 42};
  record.start = 0x10000;
  record.bytes = 0x3000;
  record.stack = 3;
  record.fd = -1;
  std::vector<events::Event> out;
  ASSERT_TRUE(decode(&record, sizeof record, t.table, out));
  ASSERT_EQ(out.size(), 2u);
  const auto* stack = std::get_if<events::Stack>(&out[0].payload);
  ASSERT_TRUE(stack);
  EXPECT_EQ(stack->frames, (std::vector<uint64_t>{0x401000, 0x402000}));
  const auto* map = std::get_if<events::VmaMapped>(&out[1].payload);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->stack, stack->id);
  EXPECT_EQ(map->range, (AddressRange{0x10000, 0x13000}));
  EXPECT_EQ(map->space, SpaceId{7});
  EXPECT_EQ(map->tid, 101);
  EXPECT_EQ(map->tick, 42u);
  EXPECT_EQ(out[1].time, 5000u);
  out.clear();
  ASSERT_TRUE(decode(&record, sizeof record, t.table, out));
  EXPECT_EQ(out.size(), 1u) << "a stack is given once";
}

TEST(Decode, RefusesWhatIsShortOrUnknown) {
  Tables t;
  std::vector<events::Event> out;
  mw_vma_map record{};
  for (uint32_t kind = 0; kind < 40; ++kind) {
    record.h.kind = kind;
    EXPECT_FALSE(decode(&record, sizeof record.h - 1, t.table, out));
    if (kind == MW_EVENT_NONE || kind >= MW_EVENT_KINDS) {
      EXPECT_FALSE(decode(&record, sizeof record, t.table, out));
    }
  }
  record.h.kind = MW_EVENT_VMA_MAP;
  EXPECT_FALSE(decode(&record, sizeof record - 1, t.table, out));
}

TEST(Decode, ForkWithoutRoomIsALoss) {
  Tables t;
  std::vector<events::Event> out;
  mw_space_fork record{};
  record.h.kind = MW_EVENT_SPACE_FORK;
  record.h.space = 2;
  ASSERT_TRUE(decode(&record, sizeof record, t.table, out));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(std::get<events::Loss>(out[0].payload).what, "fork");
}

TEST(Decode, AnAllocationNamesItsStack) {
  Tables t;
  t.put(3, 0xbeef, {0x401000, 0x402000});
  std::vector<events::Event> out;
  mw_allocation record{};
  record.h.kind = MW_EVENT_ALLOCATION;
  record.h.space = 2;
  record.h.tid = 7;
  record.h.tick = 99;
  record.stack = 3;
  record.bytes = 1000;
  ASSERT_TRUE(decode(&record, sizeof record, t.table, out));
  ASSERT_EQ(out.size(), 2u);
  const StackId stack = std::get<events::Stack>(out[0].payload).id;
  EXPECT_EQ(std::get<events::AllocationCall>(out[1].payload),
            (events::AllocationCall{SpaceId{2}, 7, 1000, stack, 99}));
}

TEST(Decode, GoCallNamesItsStackAndRefusesUnknownFunctions) {
  Tables t;
  t.put(3, 0xbeef, {0x401000, 0x402000});
  std::vector<events::Event> out;
  mw_go_call record{};
  record.h.kind = MW_EVENT_GO_CALL;
  record.h.space = 2;
  record.h.tid = 7;
  record.h.tick = 99;
  record.function = MW_GO_HEAP_GROW;
  record.stack = 3;
  record.bytes = 4096;
  ASSERT_TRUE(decode(&record, sizeof record, t.table, out));
  ASSERT_EQ(out.size(), 2u);
  const StackId stack = std::get<events::Stack>(out[0].payload).id;
  EXPECT_EQ(std::get<events::GoCall>(out[1].payload),
            (events::GoCall{SpaceId{2}, 7, events::GoFunction::kHeapGrow, 4096, stack, 99}));
  record.function = MW_GO_FUNCTIONS;
  out.clear();
  EXPECT_TRUE(decode(&record, sizeof record, t.table, out));
  EXPECT_TRUE(out.empty());
}

TEST(StackTable, FreesASlotAfterThreePassesAndKeepsTheId) {
  Tables t;
  std::vector<events::Stack> fresh;
  t.put(3, 0xbeef, {0x401000});
  const StackId id = *t.table.resolve(3, SpaceId{1}, fresh);
  const std::vector<bool> nothing(16);
  t.table.sweep(nothing);
  EXPECT_EQ(t.hashes[3], 0xbeefu);
  t.table.sweep(nothing);
  EXPECT_EQ(t.hashes[3], MW_SLOT_TOMB);
  EXPECT_EQ(*t.table.resolve(3, SpaceId{1}, fresh), id) << "an entry may still name it";
  t.table.sweep(nothing);
  EXPECT_EQ(t.hashes[3], MW_SLOT_EMPTY);
  EXPECT_EQ(t.table.freed(), 1u);
  t.put(3, 0x7777, {0x402000});
  EXPECT_NE(*t.table.resolve(3, SpaceId{1}, fresh), id);
  t.put(5, 0xbeef, {0x401000});
  EXPECT_EQ(*t.table.resolve(5, SpaceId{1}, fresh), id);
  EXPECT_EQ(fresh.size(), 2u);
}

// Forks, or two instances of one program: the same stack, and names of their own.
TEST(StackTable, TellsASharedStackOnceForEachSpace) {
  Tables t;
  std::vector<events::Stack> fresh;
  t.put(3, 0xbeef, {0x401000, 0x401040});
  t.put(5, 0xbeef, {0x401000, 0x401040});
  t.put(4, 0x7777, {0x402000});
  const StackId id = *t.table.resolve(3, SpaceId{1}, fresh);
  for (int round = 0; round < 3; ++round)
    for (uint32_t space = 1; space <= 500; ++space) {
      EXPECT_EQ(*t.table.resolve(space % 2 == 0 ? 3 : 5, SpaceId{space}, fresh), id);
      if (space % 5 == 0) t.table.resolve(4, SpaceId{space}, fresh);
    }
  std::map<StackId, std::vector<uint32_t>> told;
  for (const events::Stack& stack : fresh) {
    told[stack.id].push_back(static_cast<uint32_t>(stack.space));
    EXPECT_EQ(stack.frames.size(), stack.id == id ? 2u : 1u);
  }
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[id].size(), 500u);
  EXPECT_EQ(std::set<uint32_t>(told[id].begin(), told[id].end()).size(), 500u);
  EXPECT_EQ(fresh.size(), 600u);
  EXPECT_EQ(t.table.shared(), 499u + 99u);
  for (uint32_t space = 1; space <= 500; ++space) t.table.forget(SpaceId{space});
  EXPECT_EQ(t.table.shared(), 0u);
}

TEST(StackTable, ALostStackIsToldAgainForTheSpacesThatMissedIt) {
  Tables t;
  std::vector<events::Stack> fresh, again;
  t.put(3, 0xbeef, {0x401000});
  StackId id{};
  for (const uint32_t space : {1u, 2u, 3u}) id = *t.table.resolve(3, SpaceId{space}, fresh);
  ASSERT_EQ(fresh.size(), 3u);
  t.table.lost(id, SpaceId{1});
  t.table.lost(id, SpaceId{3});
  t.table.resend(0, again);
  EXPECT_EQ(again, (std::vector<events::Stack>{fresh[0], fresh[2]}));
}

TEST(StackTable, EachPortIsGivenItsOwn) {
  Tables t;
  std::vector<events::Stack> one, two, again;
  t.put(3, 0xbeef, {0x401000});
  const StackId id = *t.table.resolve(3, {SpaceId{1}, 1}, one);
  EXPECT_EQ(*t.table.resolve(3, {SpaceId{1}, 2}, two), id);
  EXPECT_EQ(*t.table.resolve(3, {SpaceId{1}, 1}, one), id);
  EXPECT_EQ(one, two);
  ASSERT_EQ(two.size(), 1u) << "the same space, read by another port";
  t.table.lost(id, {SpaceId{1}, 2});
  t.table.resend(1, again);
  EXPECT_TRUE(again.empty()) << "port 1 has it";
  t.table.resend(2, again);
  EXPECT_EQ(again, two);
}

// 16 slots, 1000 stacks one after another: the last 16 that were let go are known, the others come anew.
TEST(StackTable, ForgetsTheIdsOfStacksThatWereLetGoLongAgo) {
  Tables t;
  const std::vector<bool> nothing(16);
  const auto meet = [&](uint64_t hash, std::vector<events::Stack>& fresh) {
    t.put(hash % 16, hash, {hash});
    const StackId id = *t.table.resolve(hash % 16, SpaceId{1}, fresh);
    for (int pass = 0; pass < 3; ++pass) t.table.sweep(nothing);
    EXPECT_EQ(t.hashes[hash % 16], MW_SLOT_EMPTY);
    return id;
  };
  std::vector<events::Stack> all;
  for (uint64_t hash = 1001; hash <= 2000; ++hash)
    EXPECT_EQ(static_cast<uint32_t>(meet(hash, all)), hash - 1000);
  EXPECT_EQ(all.size(), 1000u);
  std::vector<events::Stack> fresh;
  EXPECT_EQ(meet(1985, fresh), StackId{985});
  EXPECT_TRUE(fresh.empty());
  EXPECT_EQ(meet(1001, fresh), StackId{1001}) << "an id is never another stack's";
  ASSERT_EQ(fresh.size(), 1u);
  EXPECT_EQ(fresh[0].id, StackId{1001});
  EXPECT_EQ(fresh[0].frames, std::vector<uint64_t>{1001});
}

TEST(StackTable, KeepsTheIdsOfStacksThatComeAgainAndAgain) {
  Tables t;
  const std::vector<bool> nothing(16);
  std::vector<events::Stack> fresh;
  for (uint64_t turn = 0; turn < 1000; ++turn) {
    const auto slot = static_cast<uint32_t>(turn % 12);
    t.put(slot, 1000 + slot, {0x401000 + slot});
    EXPECT_EQ(*t.table.resolve(slot, SpaceId{1}, fresh), StackId{slot + 1});
    for (int pass = 0; pass < 3; ++pass) t.table.sweep(nothing);
  }
  EXPECT_EQ(fresh.size(), 12u);
  EXPECT_EQ(t.table.freed(), 1000u);
}

TEST(StackTable, KeepsTheIdWhileAnotherSlotHoldsTheStack) {
  Tables t;
  std::vector<events::Stack> fresh;
  std::vector<bool> named(16);
  named[3] = true;
  t.put(3, 0xbeef, {0x401000});
  const StackId id = *t.table.resolve(3, SpaceId{1}, fresh);
  for (uint64_t round = 0; round < 100; ++round) {
    t.put(5, 0xbeef, {0x401000});
    EXPECT_EQ(*t.table.resolve(5, SpaceId{1}, fresh), id);
    t.put(6, 0x10000 + round, {0x500000 + round});
    t.table.resolve(6, SpaceId{1}, fresh);
    for (int pass = 0; pass < 3; ++pass) t.table.sweep(named);
  }
  EXPECT_EQ(t.table.freed(), 200u);
  EXPECT_EQ(fresh.size(), 101u);
}

TEST(StackTable, PutsBackASlotThatWasNamedMeanwhile) {
  Tables t;
  std::vector<events::Stack> fresh;
  t.put(3, 0xbeef, {0x401000});
  const StackId id = *t.table.resolve(3, SpaceId{1}, fresh);
  std::vector<bool> named(16);
  t.table.sweep(named);
  t.table.sweep(named);
  named[3] = true;
  t.table.sweep(named);
  EXPECT_EQ(t.hashes[3], 0xbeefu);
  EXPECT_EQ(*t.table.resolve(3, SpaceId{1}, fresh), id);
  EXPECT_EQ(t.table.freed(), 0u);
}

TEST(StackTable, SaysThatAStackIsBeingWritten) {
  Tables t;
  std::vector<events::Stack> fresh;
  t.hashes[3] = 0xbeef;
  EXPECT_FALSE(t.table.resolve(3, SpaceId{1}, fresh));
  EXPECT_EQ(*t.table.resolve(MW_ENTRY_STACK_LOST, SpaceId{1}, fresh), StackId::kLost);
  EXPECT_EQ(*t.table.resolve(MW_ENTRY_STACK_NONE, SpaceId{1}, fresh), StackId::kNone);
}

TEST(StackTable, TellsALostStackAgainWithItsId) {
  Tables t;
  std::vector<events::Stack> fresh, again;
  t.put(3, 0xbeef, {0x401000});
  t.put(4, 0x7777, {0x402000, 0x402040});
  t.put(5, 0x7777, {0x402000, 0x402040});
  for (const uint32_t slot : {3u, 4u, 5u}) t.table.resolve(slot, SpaceId{1}, fresh);
  ASSERT_EQ(fresh.size(), 2u);
  t.table.resend(0, again);
  EXPECT_TRUE(again.empty());
  t.table.lost(fresh[1].id, SpaceId{1});
  t.table.lost(fresh[1].id, SpaceId{1});
  t.table.lost(StackId{999}, SpaceId{1});
  const std::vector<bool> nothing(16);
  for (int pass = 0; pass < 4; ++pass) t.table.sweep(nothing);
  EXPECT_EQ(t.table.freed(), 1u) << "what is still to be told keeps its slots";
  t.table.resend(0, again);
  EXPECT_EQ(again, std::vector<events::Stack>{fresh[1]});
  t.table.resend(0, again);
  EXPECT_EQ(again.size(), 1u);
  EXPECT_EQ(*t.table.resolve(4, SpaceId{1}, fresh), fresh[1].id);
  EXPECT_EQ(fresh.size(), 2u);
  for (int pass = 0; pass < 3; ++pass) t.table.sweep(nothing);
  EXPECT_EQ(t.table.freed(), 3u);
}

}  // namespace
}  // namespace memwhy::probe
