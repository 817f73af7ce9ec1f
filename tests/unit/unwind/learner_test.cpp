// SPDX-License-Identifier: Apache-2.0
// The walk over a copied stack, with rules that the test makes up.
#include "unwind/learner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "unit/unwind/no_binaries.h"

namespace memwhy::unwind {
namespace {

using symbols::FunctionRules;
using symbols::kFramePointerRule;
using symbols::UnwindRule;
using ::testing::ElementsAre;
using Kind = UnwindRule::Kind;

constexpr Pid kPid = 7;
constexpr uint64_t kCode = 0x400000, kMadeCode = 0x700000, kVdso = 0x7fff0000, kStack = 0x10000;
constexpr uint64_t kOffset = 0x1000;  // of kCode in its file

UnwindRule stack_rule(int32_t bytes, uint16_t saved = 0) { return {Kind::kStack, saved, bytes}; }

// One file, whose functions are 0x100 bytes each from kOffset on, and the vdso with one function.
class FakeBinaries final : public NoBinaries {
 public:
  std::map<uint64_t, FunctionRules> functions;  // by where they begin
  int opened = 0, asked = 0;
  size_t addresses = 0;  // that were asked for
  bool readable = true, is_elf = true, is_go = false;
  int closes = 0;  // so many questions find the file closed

  void function(uint64_t begin, const UnwindRule& rule, FunctionRules::Why why = FunctionRules::Why::kRule) {
    FunctionRules one;
    one.why = why;
    one.begin = begin;
    one.end = begin + 0x100;
    one.rows = {{one.end, rule, rule}};
    functions[begin] = one;
  }

  Result<symbols::OpenedBinary> open_mapping(Pid, const events::Vma&) override {
    ++opened;
    if (!readable) return Error(ErrorCode::kBadInput, "not to be read");
    symbols::OpenedBinary file;
    file.key = {1, 2, 3, 4};
    if (!is_elf) return file;
    file.machine = "x86-64";
    file.handle = symbols::BinaryHandle{1};
    if (is_go) file.facts.go.emplace();
    return file;
  }
  Result<symbols::OpenedBinary> vdso() override {
    symbols::OpenedBinary file;
    file.key = {0, 0, 5, 0};
    file.machine = "x86-64";
    file.handle = symbols::BinaryHandle{2};
    return file;
  }
  Result<std::vector<FunctionRules>> frame_rules(symbols::BinaryHandle binary,
                                                 std::span<const symbols::CodeOffset> at) override {
    ++asked;
    addresses += at.size();
    if (closes > 0 && closes-- > 0) return Error(ErrorCode::kAbsent, "closed");
    if (!readable) return Error(ErrorCode::kBadInput, "not to be read");
    std::vector<FunctionRules> all;
    for (const symbols::CodeOffset& one : at) {
      if (binary == symbols::BinaryHandle{2}) {
        FunctionRules rules;
        rules.why = FunctionRules::Why::kRule;
        rules.end = 0x1000;
        rules.rows = {{0x1000, stack_rule(8), stack_rule(8)}};
        all.push_back(rules);
        continue;
      }
      const auto after = functions.upper_bound(one.file_offset);
      if (after == functions.begin()) return Error(ErrorCode::kBadInput, "no such function");
      all.push_back(std::prev(after)->second);
    }
    return all;
  }
};

Learner::Mappings mappings() {
  const auto code = [](uint64_t start, uint64_t bytes, uint64_t offset, uint64_t inode, const char* name) {
    events::Vma vma;
    vma.range = {start, start + bytes};
    vma.read = vma.exec = true;
    vma.offset = offset;
    vma.device = inode != 0 ? 1 : 0;
    vma.inode = inode;
    vma.name = name;
    return vma;
  };
  events::Vma stack = code(kStack, 0x10000, 0, 0, "[stack]");
  stack.exec = false;
  return std::make_shared<const std::vector<events::Vma>>(
      std::vector{stack, code(kCode, 0x10000, kOffset, 2, "/bin/program"), code(kMadeCode, 0x1000, 0, 0, ""),
                  code(kVdso, 0x2000, 0, 0, "[vdso]")});
}

class LearnerTest : public ::testing::Test {
 protected:
  // The address of an instruction in the n-th function.
  static uint64_t in(uint64_t function, uint64_t byte = 0x20) { return kCode + function * 0x100 + byte; }
  void function(uint64_t number, const UnwindRule& rule, FunctionRules::Why why = FunctionRules::Why::kRule) {
    binaries_.function(kOffset + number * 0x100, rule, why);
  }
  void put(uint64_t address, uint64_t word) {
    ASSERT_LE(address - kStack + 8, stack_.size());
    std::memcpy(stack_.data() + (address - kStack), &word, sizeof word);
  }
  Learned learn(uint64_t ip, uint64_t sp, uint64_t fp) {
    const Snapshot snapshot{ip, sp, fp, false, kStack, stack_};
    return learner_.learn(kPid, snapshot, mappings());
  }

  FakeBinaries binaries_;
  Learner learner_{binaries_};
  std::vector<std::byte> stack_ = std::vector<std::byte>(0x1000);
};

TEST_F(LearnerTest, GoesFromRuleToRuleToTheOutermostFrame) {
  function(0, stack_rule(8));      // a leaf
  function(1, stack_rule(32, 2));  // saves the frame pointer
  function(2, kFramePointerRule);
  function(3, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  put(kStack + 0x108 + 16, kStack + 0x200);  // CFA 0x128, fp at CFA - 16
  put(kStack + 0x108 + 24, in(2));
  put(kStack + 0x208, in(3));
  const Learned learned = learn(in(0), kStack + 0x100, 0xdead);
  EXPECT_EQ(learned.how, How::kWhole);
  EXPECT_THAT(learned.frames, ElementsAre(in(0), in(1), in(2), in(3)));
  EXPECT_THAT(learned.rules, ElementsAre(LearnedRule{in(0), false, stack_rule(8), RuleSource::kTable},
                                         LearnedRule{in(1), true, stack_rule(32, 2), RuleSource::kTable},
                                         LearnedRule{in(2), true, kFramePointerRule, RuleSource::kTable},
                                         LearnedRule{in(3), true, {Kind::kEnd, 0, 0}, RuleSource::kTable}));
}

TEST_F(LearnerTest, AReturnAddressIsLookedUpInItsCall) {
  function(0, stack_rule(8));
  function(1, {Kind::kEnd, 0, 0});
  function(2, stack_rule(64));
  put(kStack + 0x100, in(2, 0));  // the call is the last instruction of the function before
  const Learned learned = learn(in(0), kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kWhole);
  EXPECT_EQ(learned.rules.back().rule.kind, Kind::kEnd);
}

TEST_F(LearnerTest, ASignalLeadsToAnInterruptedInstruction) {
  function(0, stack_rule(8));
  function(1, {Kind::kSignal, 0, 0});
  function(2, stack_rule(16));
  function(3, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  const uint64_t frame = kStack + 0x108;
  put(frame + 168, in(2, 0));  // its very first byte, which is not looked up in the function before
  put(frame + 160, kStack + 0x800);
  put(frame + 120, 0x77);
  put(kStack + 0x808, in(3));
  const Learned learned = learn(in(0), kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kWhole);
  EXPECT_THAT(learned.frames, ElementsAre(in(0), in(1), in(2, 0), in(3)));
  EXPECT_FALSE(learned.rules[2].is_return);
}

TEST_F(LearnerTest, ARealignedStackIsFoundByItsSavedPointer) {
  function(0, {Kind::kRealigned, 0, -8});
  function(1, stack_rule(16, 2));
  function(2, {Kind::kEnd, 0, 0});
  put(kStack + 0x1f8, kStack + 0x400);
  put(kStack + 0x200, 0x1234'5678);
  put(kStack + 0x3f8, in(1));
  put(kStack + 0x400, 0x99);
  put(kStack + 0x408, in(2));
  const Learned learned = learn(in(0), kStack + 0x100, kStack + 0x200);
  EXPECT_EQ(learned.how, How::kWhole);
  EXPECT_THAT(learned.frames, ElementsAre(in(0), in(1), in(2)));
}

TEST_F(LearnerTest, WhatWasGuessedIsNotWhole) {
  function(0, stack_rule(8));
  function(1, kFramePointerRule, FunctionRules::Why::kNoEntry);
  function(2, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  put(kStack + 0x208, in(2));
  const Learned learned = learn(in(0), kStack + 0x100, kStack + 0x200);
  EXPECT_EQ(learned.how, How::kFramePointers);
  EXPECT_EQ(learned.rules[1].source, RuleSource::kGuess);
}

TEST_F(LearnerTest, CodeWithoutAFileHasFramePointers) {
  function(1, {Kind::kEnd, 0, 0});
  put(kStack + 0x208, in(1));
  const Learned learned = learn(kMadeCode + 5, kStack + 0x100, kStack + 0x200);
  EXPECT_EQ(learned.how, How::kMadeCode);
  EXPECT_THAT(learned.rules[0],
              (LearnedRule{kMadeCode + 5, false, kFramePointerRule, RuleSource::kMadeCode}));
  EXPECT_EQ(binaries_.opened, 1) << "it has no file to be opened";
}

class FakeMadeCode final : public MadeCode {
 public:
  std::map<uint64_t, UnwindRule> rules;  // by where the code begins, 16 bytes each
  std::optional<UnwindRule> rule(Pid tgid, uint64_t address, const std::vector<events::Vma>&) override {
    EXPECT_EQ(tgid, kPid);
    const auto found = rules.find(address & ~uint64_t{15});
    return found == rules.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<AddressRange> gone(Pid) override { return {}; }
  void forget() override {}
};

// A native function, called by an interpreted method, called by a compiled one, which made room for it, called by a stub.
TEST_F(LearnerTest, WhatItsRunTimeSaysOfMadeCodeIsFollowed) {
  constexpr uint64_t kInterpreted = kMadeCode + 0x10, kCompiled = kMadeCode + 0x20, kStub = kMadeCode + 0x30;
  FakeMadeCode made;
  made.rules[kInterpreted] = {Kind::kInterpreted, 2, 16};
  made.rules[kCompiled] = stack_rule(48, 2);
  Learner learner(binaries_, {}, &made);
  function(0, stack_rule(8));
  function(1, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, kInterpreted + 1);
  put(kStack + 0x200, 0x1234);  // of the interpreted frame: what the compiled method uses the register for
  put(kStack + 0x208, kCompiled + 16);  // the call is its last instruction
  put(kStack + 0x1f8, kStack + 0x230);  // the stack pointer of the compiled method, above the room
  put(kStack + 0x230 + 32, kStack + 0x300);
  put(kStack + 0x230 + 40, kStub + 1);
  put(kStack + 0x308, in(1));
  const Snapshot snapshot{in(0), kStack + 0x100, kStack + 0x200, false, kStack, stack_};
  const Learned learned = learner.learn(kPid, snapshot, mappings());
  EXPECT_EQ(learned.how, How::kMadeCode);
  EXPECT_THAT(learned.frames, ElementsAre(in(0), kInterpreted + 1, kCompiled + 16, kStub + 1, in(1)));
  EXPECT_THAT(learned.rules[2],
              (LearnedRule{kCompiled + 16, true, stack_rule(48, 2), RuleSource::kMadeCode}));
  EXPECT_THAT(learned.rules[3], (LearnedRule{kStub + 1, true, kFramePointerRule, RuleSource::kMadeCode}));
  // What is no stack pointer of a caller's is not believed.
  put(kStack + 0x1f8, kStack + 0x100);
  put(kStack + 0x210 + 40, in(1));
  EXPECT_THAT(learner.learn(kPid, snapshot, mappings()).frames,
              ElementsAre(in(0), kInterpreted + 1, kCompiled + 16, in(1)));
}

TEST_F(LearnerTest, MadeCodeWhoseFramePointerIsZeroIsNoOutermostFrame) {
  EXPECT_EQ(learn(kMadeCode + 5, kStack + 0x100, 0).how, How::kFirstOnly);
  put(kStack + 0x208, 0);  // nor is a zero where its return address would be
  EXPECT_EQ(learn(kMadeCode + 5, kStack + 0x100, kStack + 0x200).how, How::kFirstOnly);
}

TEST_F(LearnerTest, CodeThatKeepsFramesWithoutATableIsAsCodeThatWasMade) {
  function(0, stack_rule(8));
  function(1, {Kind::kKept, 0, 0}, FunctionRules::Why::kNoEntry);
  function(2, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  put(kStack + 0x208, in(2));
  const Learned learned = learn(in(0), kStack + 0x100, kStack + 0x200);
  EXPECT_EQ(learned.how, How::kMadeCode);
  EXPECT_THAT(learned.frames, ElementsAre(in(0), in(1), in(2)));
  EXPECT_THAT(learned.rules[1], (LearnedRule{in(1), true, kFramePointerRule, RuleSource::kMadeCode}));
}

TEST_F(LearnerTest, FunctionsThatTheStackNamesAreAskedForTogether) {
  for (uint64_t i = 0; i < 8; ++i) {
    function(i, stack_rule(16));
    put(kStack + 0x108 + i * 16, in(i + 1));
  }
  function(8, {Kind::kEnd, 0, 0});
  const Snapshot snapshot{in(0), kStack + 0x100, 0, false, kStack, stack_};
  const Learner::Coming coming{kPid, snapshot, mappings()};
  learner_.expect({coming, coming});
  EXPECT_EQ(binaries_.asked, 0) << "all of them may be known";
  for (int i = 0; i < 2; ++i) EXPECT_EQ(learner_.learn(kPid, snapshot, mappings()).how, How::kWhole);
  EXPECT_EQ(binaries_.asked, 1);
}

TEST_F(LearnerTest, WhatCameBeforeIsExpectedNoMore) {
  for (const uint64_t i : {0, 1, 5}) function(i, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(5));
  const Snapshot first{in(0), kStack + 0x100, 0, false, kStack, stack_},
      second{in(1), kStack + 0x200, 0, false, kStack, stack_};
  EXPECT_EQ(learner_.learn(kPid, first, mappings()).how, How::kWhole);
  EXPECT_EQ(binaries_.addresses, 1u);
  learner_.expect({{kPid, first, mappings()}, {kPid, second, mappings()}});
  EXPECT_EQ(learner_.learn(kPid, first, mappings()).how, How::kWhole);
  EXPECT_EQ(learner_.learn(kPid, second, mappings()).how, How::kWhole);
  EXPECT_EQ(binaries_.addresses, 2u) << "not what else is on the stack of the first";
}

TEST_F(LearnerTest, WhatWasExpectedInVainIsAskedForAgain) {
  function(0, {Kind::kEnd, 0, 0});
  const Snapshot snapshot{in(0), kStack + 0x100, 0, false, kStack, stack_};
  binaries_.closes = 1;
  learner_.expect({{kPid, snapshot, mappings()}});
  EXPECT_EQ(learner_.learn(kPid, snapshot, mappings()).how, How::kWhole);
  EXPECT_EQ(binaries_.asked, 2);
}

TEST_F(LearnerTest, WhatIsKnownOfAnAddressIsKnownWhileItsMappingsAreTheSame) {
  function(0, stack_rule(8));
  function(1, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  const Snapshot snapshot{in(0), kStack + 0x100, 0, false, kStack, stack_};
  const Learner::Mappings before = mappings();
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(learner_.learn(kPid, snapshot, before).frames, ElementsAre(in(0), in(1)));
  auto moved = std::make_shared<std::vector<events::Vma>>(*before);
  moved->at(1).offset += 0x100;
  EXPECT_THAT(learner_.learn(kPid, snapshot, moved).frames, ElementsAre(in(0))) << "the second function";
}

TEST_F(LearnerTest, TheVdsoHasRules) {
  function(1, {Kind::kEnd, 0, 0});
  put(kStack + 0x100, in(1));
  const Learned learned = learn(kVdso + 0x900, kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kWhole);
}

TEST_F(LearnerTest, AZeroReturnAddressIsTheEnd) {
  function(0, stack_rule(8));
  put(kStack + 0x100, 0);
  EXPECT_EQ(learn(in(0), kStack + 0x100, 0).how, How::kWhole);
}

TEST_F(LearnerTest, ItEndsWhereTheCopyEnds) {
  function(0, stack_rule(8));
  function(1, stack_rule(0x2000));
  put(kStack + 0x100, in(1));
  const Learned learned = learn(in(0), kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kUnreadable);
  EXPECT_EQ(learned.rules.size(), 2u) << "the rule of the last address is known all the same";
  EXPECT_EQ(learned.certain, 2u);
  EXPECT_EQ(learn(in(1), kStack + 0x100, 0).how, How::kFirstOnly);
  EXPECT_EQ(learn(in(0), ~uint64_t{0} - 3, 0).how, How::kFirstOnly);
}

TEST_F(LearnerTest, AFramePointerThatWasPoppedIsInItsRegister) {
  function(0, stack_rule(8, 2));  // before the ret: the table does not follow the pop
  function(1, kFramePointerRule);
  function(2, {Kind::kEnd, 0, 0});
  put(kStack, in(1));
  put(kStack + 0x208, in(2));
  EXPECT_EQ(learn(in(0), kStack, kStack + 0x200).how, How::kWhole);
}

TEST_F(LearnerTest, WhatIsNoCodeEndsTheWalk) {
  function(0, stack_rule(8));
  put(kStack + 0x100, kStack + 0x10);
  const Learned learned = learn(in(0), kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kUnreadable);
  EXPECT_EQ(learned.rules.size(), 1u);
  EXPECT_EQ(learned.certain, 1u) << "and is no frame";
}

TEST_F(LearnerTest, OnlyGoAndSignalsGoToAnotherStack) {
  function(0, kFramePointerRule);
  function(1, {Kind::kEnd, 0, 0});
  put(kStack + 0x18, in(1));  // below the stack pointer
  EXPECT_EQ(learn(in(0), kStack + 0x100, kStack + 0x10).how, How::kFirstOnly);
  binaries_.is_go = true;
  Learner fresh(binaries_);
  const Snapshot snapshot{in(0), kStack + 0x100, kStack + 0x10, false, kStack, stack_};
  EXPECT_EQ(fresh.learn(kPid, snapshot, mappings()).how, How::kWhole);
}

TEST_F(LearnerTest, ALoopEnds) {
  function(0, kFramePointerRule);
  binaries_.is_go = true;
  put(kStack + 0x200, kStack + 0x300);
  put(kStack + 0x208, in(0));
  put(kStack + 0x300, kStack + 0x200);
  put(kStack + 0x308, in(0));
  const Learned learned = learn(in(0), kStack + 0x100, kStack + 0x200);
  EXPECT_EQ(learned.how, How::kUnreadable);
  EXPECT_LE(learned.frames.size(), 2u * Learner::kMostJumps + 4);
}

TEST_F(LearnerTest, DeepStacksAreCut) {
  function(0, stack_rule(8));
  for (uint64_t at = 0x100; at + 8 <= 0x1000; at += 8) put(kStack + at, in(0));
  const Learned learned = learn(in(0), kStack + 0x100, 0);
  EXPECT_EQ(learned.how, How::kCut);
  EXPECT_EQ(learned.frames.size(), Learner::kMostFrames);
}

// Without a rule, each page fault there would ask for it again.
TEST_F(LearnerTest, CodeOfAFileThatCannotBeReadIsLeftByFramePointerAndTheFileIsNotAskedAgain) {
  binaries_.readable = false;
  put(kStack + 0x208, in(1));
  for (int i = 0; i < 3; ++i) {
    const Learned learned = learn(in(0), kStack + 0x100, kStack + 0x200);
    EXPECT_THAT(learned.rules, ElementsAre(LearnedRule{in(0), false, kFramePointerRule, RuleSource::kGuess},
                                           LearnedRule{in(1), true, kFramePointerRule, RuleSource::kGuess}));
    EXPECT_THAT(learned.frames, ElementsAre(in(0), in(1)));
  }
  EXPECT_EQ(binaries_.opened, 1);
  EXPECT_EQ(binaries_.asked, 0);
}

TEST_F(LearnerTest, AFileThatWasClosedIsOpenedAgain) {
  function(0, {Kind::kEnd, 0, 0});
  binaries_.closes = 1;
  EXPECT_EQ(learn(in(0), kStack + 0x100, 0).how, How::kWhole);
  EXPECT_EQ(binaries_.opened, 2);
}

TEST_F(LearnerTest, AFunctionIsAskedForOnce) {
  function(0, {Kind::kEnd, 0, 0});
  for (uint64_t byte = 0; byte < 0x100; ++byte)
    EXPECT_EQ(learn(in(0, byte), kStack + 0x100, 0).how, How::kWhole);
  EXPECT_EQ(binaries_.asked, 1);
}

TEST_F(LearnerTest, WhatIsKeptHasABound) {
  for (uint64_t i = 0; i < 256; ++i) function(i, {Kind::kEnd, 0, 0});
  Learner small(binaries_, {.rule_bytes = 2048, .mappings = 4});
  for (uint64_t i = 0; i < 200; ++i) {
    const Snapshot snapshot{in(i), kStack, 0, false, kStack, stack_};
    EXPECT_EQ(small.learn(kPid, snapshot, mappings()).how, How::kWhole);
    EXPECT_LE(small.held_bytes(), 2048u);
  }
}

TEST_F(LearnerTest, AnotherFramesRegistersBeginAtAReturnAddress) {
  function(0, stack_rule(16));
  function(1, {Kind::kEnd, 0, 0});
  const Snapshot snapshot{in(1, 0), kStack, 0, true, kStack, stack_};
  put(kStack + 8, in(1));
  const Learned learned = learner_.learn(kPid, snapshot, mappings());
  EXPECT_THAT(learned.rules[0], (LearnedRule{in(1, 0), true, stack_rule(16), RuleSource::kTable}));
  EXPECT_EQ(learned.how, How::kWhole);
}

}  // namespace
}  // namespace memwhy::unwind
