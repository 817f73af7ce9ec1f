// SPDX-License-Identifier: Apache-2.0
// The daemon's half of the unwind rules, over arrays as the kernel side has them.
#include "probe/rule_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace memwhy::probe {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kSlots = 8;
constexpr uint32_t kRule = MW_RULE(MW_RULE_STACK, 48, 0);

struct Kernel {
  std::vector<mw_rule> rules = std::vector<mw_rule>(MW_RULES);
  std::vector<mw_trail> trails = std::vector<mw_trail>(MW_TRAILS);
  std::vector<mw_space_code> code = std::vector<mw_space_code>(MW_SPACES);
  std::vector<mw_space> spaces = std::vector<mw_space>(kSlots);
  std::vector<mw_snapshot> snapshots = std::vector<mw_snapshot>(MW_SNAPSHOTS);
  std::vector<mw_u64> asked = std::vector<mw_u64>(MW_SNAPSHOT_MEMORY);
  std::vector<mw_u64> looked_at = std::vector<mw_u64>(1 << MW_LOOKED_AT_BITS);
  uint64_t random;
  uint32_t taken = 0, changes = 0;
  RuleTable table;

  explicit Kernel(uint64_t factor = 0x9e3779b97f4a7c15)
      : random(factor),
        table({.rules = rules.data(),
               .trails = trails.data(),
               .code = code.data(),
               .spaces = spaces.data(),
               .slots = kSlots,
               .snapshots = snapshots.data(),
               .snapshots_taken = &taken,
               .code_changes = &changes,
               .asked = asked.data(),
               .looked_at = looked_at.data(),
               .factor = factor}) {}

  // Traces a space in this slot.
  SpaceId trace(uint32_t slot, uint32_t space) {
    spaces[slot] = {0xffff888000000000, space, slot << MW_SPACE_SLOT_SHIFT};
    return SpaceId{space};
  }
  // What the kernel side finds for the key of a return address, as it looks; 0: none.
  uint32_t found(uint32_t slot, uint32_t generation, uint64_t address, bool is_return = true) const {
    const uint64_t key = MW_RULE_GROUP(slot, generation) | (is_return ? 0 : MW_RULE_IP) | address;
    for (const mw_rule& rule : rules)
      if (rule.key == key) return rule.rule;
    return 0;
  }
  // Whether the kernel side sends no snapshot for this key, as it looks.
  bool is_in_vain(uint64_t key) const { return looked_at[MW_LOOKED_AT(key, random)] == key; }
  size_t keys() const {
    return static_cast<size_t>(
        std::count_if(rules.begin(), rules.end(), [](const mw_rule& rule) { return rule.key != 0; }));
  }
  // The kernel side's own: a range of the space's code left.
  void code_changes(uint32_t slot) {
    code[slot].ranges = 0;
    code[slot].frames_bytes = 0;
    ++code[slot].generation;
    ++changes;
  }
  void snapshot(uint32_t at, uint32_t slot, uint32_t space, std::string_view stack) {
    mw_snapshot& one = snapshots[at];
    one.key = MW_RULE_GROUP(slot, code[slot].generation) | MW_RULE_IP | 0x1000;
    one.space = space;
    one.ip = 0x1000;
    one.stack = 77;
    one.bytes = static_cast<mw_u32>(stack.size());
    std::copy(stack.begin(), stack.end(), one.data);
    one.state = MW_SNAPSHOT_READY;
    ++taken;
  }
};

template <typename Use>
auto each(Use use) {
  return [use](std::span<const Snapshot> all) mutable {
    for (const Snapshot& one : all) use(one);
  };
}

TEST(RuleTable, PublishesForTheKernelSideToFind) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  EXPECT_EQ(kernel.table.generation(space), 0u);
  const std::vector<AddressRule> rules = {{0x7f1234605123, true, kRule},
                                          {0x7f1234605123, false, MW_RULE_POINTER}};
  EXPECT_TRUE(kernel.table.publish(space, 0, rules));
  EXPECT_EQ(kernel.found(5, 0, 0x7f1234605123), kRule);
  EXPECT_EQ(kernel.found(5, 0, 0x7f1234605123, false), MW_RULE_POINTER)
      << "the same address, interrupted, is another key";
  EXPECT_TRUE(kernel.table.publish(space, 0, rules));
  EXPECT_EQ(kernel.table.held(), 2u) << "known already";
  const uint64_t home = (MW_RULE_GROUP(5, 0) | 0x7f1234605123) * 0x9e3779b97f4a7c15 >> (64 - MW_RULE_BITS);
  EXPECT_EQ(kernel.rules[home].rule, kRule) << "where the hook looks first";
  EXPECT_EQ(kernel.rules[home].next, home * sizeof(mw_rule));
}

TEST(RuleTable, NothingIsPublishedForCodeThatChangedOrASpaceThatIsGone) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  const std::vector<AddressRule> rules = {{0x1000, true, kRule}};
  kernel.code_changes(5);
  EXPECT_FALSE(kernel.table.publish(space, 0, rules));
  EXPECT_FALSE(kernel.table.publish(SpaceId{4}, 0, rules));
  EXPECT_EQ(kernel.table.generation(SpaceId{4}), std::nullopt);
  kernel.spaces[5].mm = MW_SLOT_TOMB;
  EXPECT_FALSE(kernel.table.publish(space, 1, rules));
  EXPECT_EQ(kernel.keys(), 0u);
  kernel.trace(5, 3);
  EXPECT_TRUE(kernel.table.publish(space, 1, std::vector<AddressRule>{{MW_RULE_IP, true, kRule}}));
  EXPECT_EQ(kernel.keys(), 0u) << "an address that would be another's key";
}

TEST(RuleTable, RulesOfCodeThatWasReplacedAreWithdrawn) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3), other = kernel.trace(6, 4);
  for (const SpaceId one : {space, other})
    EXPECT_TRUE(kernel.table.publish(
        one, 0,
        std::vector<AddressRule>{
            {0x1000, true, kRule}, {0x1000, false, kRule}, {0x2000, true, kRule}, {0x2000, false, kRule}}));
  kernel.trails[1].key = MW_RULE_GROUP(5, 0) | MW_RULE_IP | 0x7777;
  kernel.trails[2].key = MW_RULE_GROUP(6, 0) | MW_RULE_IP | 0x7777;
  kernel.table.withdraw(space, std::vector<AddressRange>{{0x1000, 0x2000}});
  EXPECT_EQ(kernel.found(5, 0, 0x1000), kRule) << "its call is in front of it";
  EXPECT_EQ(kernel.found(5, 0, 0x1000, false), 0u);
  EXPECT_EQ(kernel.found(5, 0, 0x2000), 0u);
  EXPECT_EQ(kernel.found(5, 0, 0x2000, false), kRule);
  EXPECT_EQ(kernel.table.held(), 6u) << "none of the other space";
  EXPECT_EQ(kernel.trails[1].key, 0u) << "it may have been found by one of them";
  EXPECT_NE(kernel.trails[2].key, 0u);
}

// With this factor each key has the first place.
TEST(RuleTable, RefusesWhatFindsNoFreeSlotWhereTheKernelSideLooks) {
  Kernel kernel(0);
  const SpaceId space = kernel.trace(5, 3);
  std::vector<AddressRule> rules;
  for (uint64_t i = 0; i < MW_RULE_PROBES + 3; ++i) rules.push_back({0x1000 + i, true, kRule});
  EXPECT_TRUE(kernel.table.publish(space, 0, rules));
  EXPECT_EQ(kernel.table.held(), MW_RULE_PROBES);
  EXPECT_EQ(kernel.table.refused(), 3u);
  for (uint64_t i = 0; i < MW_RULE_PROBES; ++i) EXPECT_EQ(kernel.rules[i].rule, kRule);
  EXPECT_EQ(kernel.rules[MW_RULE_PROBES].key, 0u);
}

TEST(RuleTable, OneSpaceLeavesRoomForOthers) {
  Kernel kernel;
  const SpaceId hog = kernel.trace(5, 3), other = kernel.trace(6, 4);
  std::vector<AddressRule> rules;
  for (uint64_t i = 0; i < MW_RULES; ++i) rules.push_back({0x1000 + 16 * i, true, kRule});
  EXPECT_TRUE(kernel.table.publish(hog, 0, rules));
  EXPECT_EQ(kernel.table.held(), RuleTable::kMost / 2);
  rules.resize(1000);
  EXPECT_TRUE(kernel.table.publish(other, 0, rules));
  EXPECT_EQ(kernel.table.held(), RuleTable::kMost / 2 + 1000);
  EXPECT_EQ(kernel.table.refused(), MW_RULES - RuleTable::kMost / 2);
}

TEST(RuleTable, SweepsGenerationsThatAreOverAndConfirmsTheNewOne) {
  Kernel kernel;
  const SpaceId changed = kernel.trace(5, 3), stays = kernel.trace(6, 4);
  const std::vector<AddressRule> rules = {{0x1000, true, kRule}};
  kernel.table.publish(changed, 0, rules);
  kernel.table.publish(stays, 0, rules);
  kernel.code_changes(5);
  kernel.table.publish(changed, 1, rules);
  EXPECT_EQ(kernel.table.held(), 3u);
  kernel.table.turn(64);
  EXPECT_EQ(kernel.found(5, 0, 0x1000), 0u);
  EXPECT_EQ(kernel.found(5, 1, 0x1000), kRule);
  EXPECT_EQ(kernel.found(6, 0, 0x1000), kRule);
  EXPECT_EQ(kernel.table.held(), 2u);
  EXPECT_EQ(kernel.code[5].confirmed, 1u);
  EXPECT_EQ(kernel.code[6].confirmed, 0u);
  EXPECT_EQ(kernel.code[5].tokens, 64u);
  EXPECT_EQ(kernel.code[7].tokens, 0u) << "no space is there";
}

// A key has three bits of the generation. The kernel side uses no rule while seven or more are not confirmed; once they are, a
// rule of eight generations ago must be gone.
TEST(RuleTable, ARuleOfEightGenerationsAgoIsNotOneOfNow) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  kernel.table.publish(space, 0, std::vector<AddressRule>{{0x1000, true, kRule}});
  for (uint32_t i = 0; i < MW_RULE_GENERATIONS; ++i) kernel.code_changes(5);
  kernel.table.turn(64);
  EXPECT_EQ(kernel.code[5].confirmed, MW_RULE_GENERATIONS);
  EXPECT_EQ(kernel.found(5, MW_RULE_GENERATIONS, 0x1000), 0u);
  EXPECT_EQ(kernel.table.held(), 0u);
  EXPECT_TRUE(kernel.table.publish(space, MW_RULE_GENERATIONS, std::vector<AddressRule>{{0x1000, true, 1}}));
  EXPECT_EQ(kernel.found(5, 0, 0x1000), 1u);
}

// A trail's key has the same three bits: it would tell the stack of code that is gone.
TEST(RuleTable, TrailsOfCodeThatIsGoneAreForgottenToo) {
  Kernel kernel;
  kernel.trace(5, 3);
  kernel.trails[1].key = MW_RULE_GROUP(5, 0) | MW_RULE_IP | 0x1000;
  kernel.trails[2].key = MW_RULE_GROUP(6, 0) | MW_RULE_IP | 0x1000;
  kernel.code_changes(5);
  kernel.trails[3].key = MW_RULE_GROUP(5, 1) | MW_RULE_IP | 0x1000;
  kernel.table.turn(64);
  EXPECT_EQ(kernel.trails[1].key, 0u);
  EXPECT_NE(kernel.trails[2].key, 0u) << "of another space";
  EXPECT_NE(kernel.trails[3].key, 0u) << "of the code that is there";
}

// They end where another stack begins, and would be taken for ever.
TEST(RuleTable, TrailsFromBeforeItWasKnownThatStacksAreSwitchedAreForgotten) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  kernel.trails[1].key = MW_RULE_GROUP(5, 0) | MW_RULE_IP | 0x1000;
  kernel.trails[2].key = MW_RULE_GROUP(6, 0) | MW_RULE_IP | 0x1000;
  kernel.table.switches_stacks(space);
  EXPECT_EQ(kernel.spaces[5].flags, 5u << MW_SPACE_SLOT_SHIFT | MW_SPACE_GO);
  EXPECT_EQ(kernel.trails[1].key, 0u);
  EXPECT_NE(kernel.trails[2].key, 0u) << "of another space";
  kernel.trails[1].key = MW_RULE_GROUP(5, 0) | MW_RULE_IP | 0x1000;
  kernel.table.switches_stacks(space);
  EXPECT_NE(kernel.trails[1].key, 0u) << "it was known";
}

TEST(RuleTable, MergesTheNearestRangesOfCodeToAsManyAsFit) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  std::vector<AddressRange> code;  // two of them closer together than all others
  for (uint64_t i = 0; i < MW_CODE_RANGES + 1; ++i) {
    const uint64_t start = 0x100000 * (i + 1) - (i == 9 ? 0xe0000 : 0);
    code.push_back({start, start + 0x10000});
  }
  std::reverse(code.begin(), code.end());  // in any order
  const std::vector<AddressRange> merged = code;
  code.push_back({0xffffffffff600000, 0xffffffffff601000});  // vsyscall
  kernel.table.set_code(space, code, {0x5000, 0x9000}, 7);
  EXPECT_EQ(kernel.code[5].described, 7u);
  const mw_space_code& known = kernel.code[5];
  ASSERT_EQ(known.ranges, MW_CODE_RANGES);
  EXPECT_EQ(known.frames_start, 0x5000u);
  EXPECT_EQ(known.frames_bytes, 0x4000u);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const mw_code_range& range : known.range) ranges.emplace_back(range.start, range.end);
  EXPECT_TRUE(std::is_sorted(ranges.begin(), ranges.end()));
  EXPECT_EQ(ranges[8], (std::pair<uint64_t, uint64_t>{0x900000, 0x930000}));
  for (const AddressRange& range : merged)
    EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(), [&](const auto& all) {
      return all.first <= range.start && all.second >= range.end;
    })) << range.start;
  kernel.table.set_code(space, std::span(code).first(1), {}, 7);
  EXPECT_EQ(known.range[1].start, uint64_t{INT64_MAX}) << "a search ends before it";
  EXPECT_EQ(known.ranges, 1u);
  EXPECT_EQ(known.frames_bytes, 0u);
  kernel.table.set_code(SpaceId{9}, code, {}, 7);
  EXPECT_EQ(known.ranges, 1u) << "of a space that is not traced";
}

TEST(RuleTable, SnapshotsAreGivenOnceAndWiped) {
  Kernel kernel;
  kernel.trace(5, 3);
  EXPECT_EQ(kernel.table.take(each([](const Snapshot&) { FAIL(); })), 0u);
  kernel.snapshot(0, 5, 3, "a password");
  std::vector<std::string> seen;
  const auto use = [&](const Snapshot& snapshot) {
    EXPECT_EQ(snapshot.space, SpaceId{3});
    EXPECT_EQ(snapshot.generation, 0u);
    EXPECT_EQ(snapshot.ip, 0x1000u);
    EXPECT_EQ(snapshot.stack, 77u);
    seen.emplace_back(reinterpret_cast<const char*>(snapshot.bytes.data()), snapshot.bytes.size());
  };
  EXPECT_EQ(kernel.table.take(each(use)), 1u);
  EXPECT_EQ(kernel.table.take(each(use)), 0u);
  EXPECT_THAT(seen, ElementsAre("a password"));
  EXPECT_EQ(kernel.snapshots[0].state, MW_SNAPSHOT_FREE);
  EXPECT_TRUE(std::all_of(std::begin(kernel.snapshots[0].data), std::end(kernel.snapshots[0].data),
                          [](mw_u8 byte) { return byte == 0; }));
}

TEST(RuleTable, TheFirstPagesOfANewFrameAreAbsent) {
  Kernel kernel;
  kernel.trace(5, 3);
  kernel.snapshot(0, 5, 3, "what its caller keeps");
  kernel.snapshots[0].sp = 0x7ffd'1010;
  kernel.snapshots[0].absent = 0xff0;
  kernel.snapshot(1, 5, 3, "the next");
  kernel.snapshots[1].sp = 0x7ffd'4010;
  std::vector<uint64_t> from;
  kernel.table.take(each([&](const Snapshot& snapshot) { from.push_back(snapshot.address); }));
  EXPECT_THAT(from, ElementsAre(0x7ffd'2000, 0x7ffd'4010));
}

TEST(RuleTable, ASnapshotOfCodeThatIsGoneIsWipedUnread) {
  Kernel kernel;
  kernel.trace(5, 3);
  kernel.snapshot(0, 5, 3, "a password");
  kernel.snapshot(1, 5, 8, "of a space that is gone");
  kernel.code_changes(5);
  std::vector<uint32_t> used;
  EXPECT_EQ(kernel.table.take(each([&](const Snapshot& snapshot) { used.push_back(snapshot.stack); })), 2u);
  EXPECT_THAT(used, IsEmpty());
  for (const uint32_t at : {0, 1}) {
    EXPECT_EQ(kernel.snapshots[at].data[0], 0u);
    EXPECT_EQ(kernel.snapshots[at].state, MW_SNAPSHOT_FREE);
  }
}

TEST(RuleTable, ASnapshotThatIsBeingWrittenComesWithTheNextLook) {
  Kernel kernel;
  kernel.trace(5, 3);
  kernel.snapshot(0, 5, 3, "half");
  kernel.snapshots[0].state = MW_SNAPSHOT_BUSY;
  size_t used = 0;
  const auto use = [&](const Snapshot&) { ++used; };
  EXPECT_EQ(kernel.table.take(each(use)), 0u);
  kernel.snapshots[0].state = MW_SNAPSHOT_READY;
  EXPECT_EQ(kernel.table.take(each(use)), 1u) << "though no further one was taken";
  EXPECT_EQ(used, 1u);
  kernel.snapshot(1, 5, 3, "");
  kernel.snapshots[1].bytes = ~0u;
  kernel.table.take(
      each([](const Snapshot& snapshot) { EXPECT_EQ(snapshot.bytes.size(), MW_SNAPSHOT_BYTES); }));
}

TEST(RuleTable, SnapshotsAreTakenInTurnAFewAtATime) {
  Kernel kernel;
  kernel.trace(5, 3);
  const auto wait = [&](uint32_t at) {
    kernel.snapshot(at, 5, 3, "x");
    kernel.snapshots[at].stack = at;
  };
  kernel.taken = MW_SNAPSHOTS;
  for (uint32_t at = 0; at < 5; ++at) wait(at);
  std::vector<uint32_t> used;
  const auto use = [&](const Snapshot& one) { used.push_back(one.stack); };
  EXPECT_EQ(kernel.table.take(each(use), 2), 2u);
  EXPECT_EQ(kernel.snapshots[1].state, MW_SNAPSHOT_FREE);
  EXPECT_EQ(kernel.snapshots[2].state, MW_SNAPSHOT_READY);
  wait(5);
  EXPECT_EQ(kernel.table.take(each(use), 2), 2u);
  EXPECT_EQ(kernel.table.take(each(use), 2), 2u);
  EXPECT_EQ(kernel.table.take(each(use), 2), 0u);
  EXPECT_THAT(used, ElementsAre(0u, 1u, 2u, 3u, 4u, 5u));
  for (uint32_t at = 6; at < MW_SNAPSHOTS + 6; ++at) wait(at & (MW_SNAPSHOTS - 1));  // round the ring
  used.clear();
  EXPECT_EQ(kernel.table.take(each(use), MW_SNAPSHOTS), MW_SNAPSHOTS);
  EXPECT_EQ(used.front(), 6u);
  EXPECT_EQ(used.back(), 5u);
}

// It has a place, and was held up before it said so; others were not.
TEST(RuleTable, ASnapshotThatComesLateIsGivenWithALaterOne) {
  Kernel kernel;
  kernel.trace(5, 3);
  ++kernel.taken;
  kernel.snapshot(1, 5, 3, "in time");
  EXPECT_EQ(kernel.table.take(each([](const Snapshot&) {})), 1u);
  kernel.snapshot(0, 5, 3, "late");
  --kernel.taken;
  EXPECT_EQ(kernel.table.take(each([](const Snapshot&) {})), 0u);
  kernel.snapshot(2, 5, 3, "the next");
  EXPECT_EQ(kernel.table.take(each([](const Snapshot&) {})), 2u);
}

TEST(RuleTable, AddressesThatStillHaveNoRuleMayBeSentAgainAfterAWhile) {
  Kernel kernel;
  kernel.asked[9] = 1;
  for (int i = 0; i < 49; ++i) kernel.table.turn(1);
  EXPECT_EQ(kernel.asked[9], 1u);
  kernel.table.turn(1);
  EXPECT_EQ(kernel.asked[9], 0u);
}

TEST(RuleTable, SnapshotsAreAllowedAnewWhenSomeWereSentOrTheirNumberChanges) {
  Kernel kernel;
  kernel.trace(5, 3);
  mw_u32& tokens = kernel.code[5].tokens;
  const auto after_turn = [&](uint32_t allowed) {
    tokens = 7;
    kernel.table.turn(allowed);
    return tokens;
  };
  EXPECT_EQ(after_turn(64), 64u);
  EXPECT_EQ(after_turn(64), 7u) << "none was sent";
  ++kernel.taken;
  EXPECT_EQ(after_turn(64), 64u);
  EXPECT_EQ(after_turn(0), 0u);
  EXPECT_EQ(after_turn(0), 7u);
  for (int turn = 5; turn < 50; ++turn) EXPECT_EQ(after_turn(0), 7u) << turn;
  EXPECT_EQ(after_turn(0), 0u) << "it may have begun with none";
}

TEST(RuleTable, WhatWasLookedAtInVainIsSentNoMore) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  const uint64_t known = MW_RULE_GROUP(5, 0) | 0x1000, nowhere = MW_RULE_GROUP(5, 0) | 0x2000;
  EXPECT_TRUE(kernel.table.publish(space, 0, std::vector<AddressRule>{{0x1000, true, kRule}}));
  for (const uint64_t key : {known, nowhere}) kernel.table.looked_at(space, 0, key);
  EXPECT_FALSE(kernel.is_in_vain(known)) << "it has a rule";
  EXPECT_TRUE(kernel.is_in_vain(nowhere));
  kernel.table.looked_at(space, 1, nowhere + 1);
  EXPECT_FALSE(kernel.is_in_vain(nowhere + 1)) << "of other code than that which was looked at";
}

TEST(RuleTable, WhatWasLookedAtInVainMayBeCodeLater) {
  Kernel kernel;
  const SpaceId space = kernel.trace(5, 3);
  const uint64_t nowhere = MW_RULE_GROUP(5, 0) | 0x2000;
  const std::vector<AddressRange> before = {{0x1000, 0x2000}}, after = {{0x1000, 0x3000}};
  kernel.table.set_code(space, before, {}, 0);
  kernel.table.looked_at(space, 0, nowhere);
  kernel.table.set_code(space, before, {}, 0);
  EXPECT_TRUE(kernel.is_in_vain(nowhere));
  kernel.table.set_code(space, after, {}, 1);
  EXPECT_FALSE(kernel.is_in_vain(nowhere)) << "more is code";
  kernel.table.looked_at(space, 0, nowhere);
  kernel.code_changes(5);
  kernel.table.turn(1);
  EXPECT_FALSE(kernel.is_in_vain(nowhere)) << "its key may come again";
  kernel.table.looked_at(space, 1, nowhere);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(kernel.is_in_vain(nowhere), i < 999) << i;
    kernel.table.turn(1);
  }
}

}  // namespace
}  // namespace memwhy::probe
