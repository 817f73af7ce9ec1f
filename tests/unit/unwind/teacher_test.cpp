// SPDX-License-Identifier: Apache-2.0
// From snapshots to rules, with tables that the test makes up. All code is without a file: its frames are found by frame
// pointers, and no binary is asked for anything.
#include "unwind/teacher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "unit/unwind/no_binaries.h"

namespace memwhy::unwind {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr SpaceId kSpace{3};
constexpr uint64_t kCode = 0x700000, kStack = 0x10000;
// Two functions of a file: how to leave the one, and that nothing called the other, their table says.
constexpr uint64_t kFile = 0x600000, kLeaf = kFile + 0x10, kOutermost = kFile + 0x30;

events::Vma code(uint64_t start, uint64_t bytes = 0x1000) {
  events::Vma vma;
  vma.range = {start, start + bytes};
  vma.read = vma.exec = true;
  return vma;
}

events::Vma code_of_a_file() {
  events::Vma vma = code(kFile);
  vma.name = "[vdso]";
  return vma;
}

class FakeBinaries final : public NoBinaries {
 public:
  Result<symbols::OpenedBinary> vdso() override {
    symbols::OpenedBinary file;
    file.handle = symbols::BinaryHandle{1};
    if (is_go) file.facts.go.emplace();
    return file;
  }
  bool is_go = false;
  Result<std::vector<symbols::FunctionRules>> frame_rules(symbols::BinaryHandle,
                                                          std::span<const symbols::CodeOffset> at) override {
    const symbols::UnwindRule leaf{symbols::UnwindRule::Kind::kStack, 0, 8},
        end{symbols::UnwindRule::Kind::kEnd, 0, 0};
    symbols::FunctionRules all;
    all.why = symbols::FunctionRules::Why::kRule;
    all.end = 0x1000;
    all.rows = {{0x20, leaf, leaf}, {0x1000, end, end}};
    return std::vector<symbols::FunctionRules>(at.size(), all);
  }
};

class FakePort final : public RulesPort {
 public:
  size_t take(const std::function<void(std::span<const Taken>)>& use, size_t most) override {
    EXPECT_EQ(most, Teacher::kAtOnce);
    if (while_taking) while_taking();
    std::vector<Taken> all = std::exchange(waiting, {});
    use(all);
    return all.size();
  }
  void turn(uint32_t snapshots) override { allowed.push_back(snapshots); }
  std::optional<uint32_t> generation(SpaceId space) override {
    return ended.contains(space) ? std::nullopt : now;
  }
  uint32_t mapped(SpaceId) override { return times_mapped; }
  void watch(SpaceId, std::span<const AddressRange> ranges, AddressRange, uint32_t) override {
    watched.emplace_back(ranges.begin(), ranges.end());
  }
  void switches_stacks(SpaceId) override { ++switched; }
  bool publish(SpaceId, uint32_t generation, std::span<const LearnedRule> rules) override {
    if (generation != now) return false;
    published.insert(published.end(), rules.begin(), rules.end());
    return true;
  }
  void looked_at(const Taken& taken) override { looked.push_back(taken.key); }
  void withdraw(SpaceId space, std::span<const AddressRange> code) override {
    EXPECT_EQ(space, kSpace);
    withdrawn.insert(withdrawn.end(), code.begin(), code.end());
  }
  void complete(const Taken& taken, std::vector<uint64_t> frames, events::Unwind how) override {
    completed.push_back({taken.slot, std::move(frames), how});
  }

  struct Completed {
    uint32_t slot;
    std::vector<uint64_t> frames;
    events::Unwind how;
  };
  std::vector<Taken> waiting;
  std::function<void()> while_taking;
  std::optional<uint32_t> now = 0;  // generation
  std::set<SpaceId> ended;
  uint32_t times_mapped = 0;
  int switched = 0;
  std::vector<uint32_t> allowed;
  std::vector<std::vector<AddressRange>> watched;
  std::vector<LearnedRule> published;
  std::vector<uint64_t> looked;  // keys
  std::vector<AddressRange> withdrawn;
  std::vector<Completed> completed;
};

struct Class {  // where it is taught
  FakePort port;
  FakeBinaries binaries;
  std::vector<events::Vma> mappings{code_of_a_file(), code(kCode)};
  std::function<void()> while_reading;
  int readings = 0;
  TimeNs now = 0;
  Teacher teacher{port, binaries,
                  [this](Pid) -> Result<std::vector<events::Vma>> {
                    ++readings;
                    std::vector<events::Vma> read = mappings;
                    if (while_reading) while_reading();
                    return read;
                  },
                  [this] { return now; }};

  // kCode + 0x10, called by `caller`, called by the outermost function.
  std::vector<uint64_t> words;
  void snapshot(uint32_t generation, uint64_t caller = kCode + 0x20, SpaceId space = kSpace) {
    words = {kStack + 16, caller, 0, kOutermost};
    Taken one{space, 7, generation, caller, 77, {}};
    one.snapshot.ip = kCode + 0x10;
    one.snapshot.sp = one.snapshot.fp = one.snapshot.address = kStack;
    one.snapshot.stack = std::as_bytes(std::span(words));
    port.waiting.push_back(one);
  }
  std::vector<uint64_t> published() const {
    std::vector<uint64_t> all;
    for (const LearnedRule& rule : port.published) all.push_back(rule.address);
    return all;
  }
};

// From the first of its addresses on: a Go program with C in it works on two stacks.
TEST(Teacher, SaysOfAProgramInGoThatItSwitchesStacks) {
  for (const bool is_go : {false, true}) {
    Class one;
    one.binaries.is_go = is_go;
    one.snapshot(0);
    one.teacher.look();
    EXPECT_EQ(one.port.switched, is_go ? 1 : 0);
  }
}

TEST(Teacher, PublishesTheRulesOfAPathAndSaysWhatTheStackWas) {
  Class c;
  c.snapshot(0);
  EXPECT_EQ(c.teacher.look(), 1u);
  EXPECT_THAT(c.published(), ElementsAre(kCode + 0x10, kCode + 0x20, kOutermost));
  ASSERT_EQ(c.port.completed.size(), 1u);
  EXPECT_EQ(c.port.completed[0].slot, 77u);
  EXPECT_EQ(c.port.completed[0].how, events::Unwind::kJit) << "its code is in no file";
  EXPECT_THAT(c.port.completed[0].frames, ElementsAre(kCode + 0x10, kCode + 0x20, kOutermost));
  EXPECT_THAT(c.port.allowed, ElementsAre(Teacher::kSnapshots));
  EXPECT_EQ(c.teacher.totals().rules, 3u);
}

// It leads through a file to code that no file has, whose frame pointer is none.
TEST(Teacher, OfACopyThatLeadsIntoTheUnknownSaysWhatIsCertain) {
  Class c;
  c.snapshot(0);
  c.words = {kLeaf + 1, kCode + 0x20, 0, 0};
  Taken& one = c.port.waiting.back();
  one.snapshot.ip = kLeaf;
  one.snapshot.fp = 0x123456;
  c.teacher.look();
  ASSERT_EQ(c.port.completed.size(), 1u);
  EXPECT_EQ(c.port.completed[0].how, events::Unwind::kStopped);
  EXPECT_THAT(c.port.completed[0].frames, ElementsAre(kLeaf, kLeaf + 1, kCode + 0x20));
  c.snapshot(0);
  c.words = {0x900000, 0, 0, 0};
  c.port.waiting.back().snapshot.ip = kLeaf;
  c.teacher.look();
  EXPECT_EQ(c.port.completed.size(), 1u) << "that is no code, and no frame";
}

// What is no code by mappings that are older than the snapshot may be some now.
TEST(Teacher, WhatIsNoCodeWasLookedAtOnlyIfMappingsWereReadForIt) {
  constexpr uint64_t kNowhere = 0x900000;
  Class c;
  c.snapshot(0, kNowhere);
  c.teacher.look();
  EXPECT_THAT(c.port.looked, IsEmpty()) << "they were read a moment ago";
  c.now += 1'000'000'000;
  c.snapshot(0, kNowhere);
  c.teacher.look();
  EXPECT_THAT(c.port.looked, ElementsAre(kNowhere));
  c.snapshot(0);
  c.teacher.look();
  EXPECT_THAT(c.port.looked, ElementsAre(kNowhere, kCode + 0x20)) << "it has rules";
  c.port.now = 1;
  c.snapshot(0, kNowhere);
  c.teacher.look();
  EXPECT_EQ(c.port.looked.size(), 2u) << "of an earlier generation";
}

// What is mapped between the first reading and the watch is not watched, and may be gone again with its rules left.
TEST(Teacher, MappingsAreReadAgainAfterTheirCodeIsWatched) {
  Class c;
  std::vector<size_t> watched_before;
  c.while_reading = [&] { watched_before.push_back(c.port.watched.size()); };
  c.snapshot(0);
  c.teacher.look();
  EXPECT_THAT(watched_before, ElementsAre(0u, 1u));
  ASSERT_FALSE(c.port.watched.empty());
  EXPECT_THAT(c.port.watched.back(),
              ElementsAre(AddressRange{kFile, kFile + 0x1000}, AddressRange{kCode, kCode + 0x1000}));
  c.snapshot(0);
  c.teacher.look();
  EXPECT_EQ(c.readings, 2) << "they are known for this generation";
}

TEST(Teacher, MappingsThatChangeWhileTheyAreReadAreReadUntilTwoAgree) {
  Class c;
  c.while_reading = [&] {
    if (c.readings == 1) c.mappings.push_back(code(kCode + 0x10000));
  };
  c.snapshot(0);
  c.teacher.look();
  EXPECT_EQ(c.readings, 3);
  EXPECT_EQ(c.port.watched.back().size(), 3u);
  EXPECT_FALSE(c.port.published.empty());

  Class never;
  never.while_reading = [&] {
    never.mappings.push_back(code(kCode + 0x10000 * static_cast<uint64_t>(never.readings)));
  };
  never.snapshot(0);
  never.teacher.look();
  EXPECT_EQ(never.readings, 4);
  EXPECT_THAT(never.published(), IsEmpty());
  EXPECT_THAT(never.port.completed, IsEmpty());
}

TEST(Teacher, ASnapshotOfAnEarlierGenerationTeachesNothing) {
  Class c;
  c.snapshot(0);
  c.port.now = 1;
  EXPECT_EQ(c.teacher.look(), 1u);
  EXPECT_THAT(c.published(), IsEmpty());
  EXPECT_THAT(c.port.completed, IsEmpty());
  c.snapshot(1);
  c.teacher.look();
  EXPECT_EQ(c.port.completed.size(), 1u);
}

TEST(Teacher, CodeThatChangesWhileItIsReadTeachesNothing) {
  Class c;
  c.while_reading = [&] {
    if (c.readings == 2) c.port.now = 1;  // after the generation was asked for
  };
  c.snapshot(0);
  c.teacher.look();
  EXPECT_THAT(c.published(), IsEmpty());
  EXPECT_THAT(c.port.completed, IsEmpty()) << "nor is its stack believed";
  EXPECT_EQ(c.teacher.totals().stale, 1u);
}

TEST(Teacher, ASpaceThatIsTracedNoMoreIsLeft) {
  Class c;
  c.snapshot(0);
  c.port.now = std::nullopt;
  c.teacher.look();
  EXPECT_EQ(c.readings, 0);
  EXPECT_THAT(c.port.completed, IsEmpty());
}

TEST(Teacher, CodeThatIsMetForTheFirstTimeIsLookedForAgainWhenMappingsAreOld) {
  constexpr uint64_t kNew = kCode + 0x20000;
  Class c;
  c.snapshot(0);
  c.teacher.look();
  c.mappings.push_back(code(kNew));
  c.snapshot(0, kNew + 0x20);
  c.teacher.look();
  EXPECT_EQ(c.readings, 2) << "they were read a moment ago";
  c.now += 20'000'000;
  c.port.published.clear();
  c.snapshot(0, kNew + 0x20);
  c.teacher.look();
  EXPECT_EQ(c.readings, 4);
  EXPECT_THAT(c.published(), ElementsAre(kCode + 0x10, kNew + 0x20, kOutermost));
}

TEST(Teacher, CodeThatWasMappedSinceIsLookedForAtOnce) {
  constexpr uint64_t kNew = kCode + 0x20000;
  Class c;
  c.snapshot(0);
  c.teacher.look();
  c.mappings.push_back(code(kNew));
  ++c.port.times_mapped;
  for (int i = 0; i < 2; ++i) c.snapshot(0, kNew + 0x20);
  c.port.published.clear();
  c.teacher.look();
  EXPECT_EQ(c.readings, 4) << "once for both";
  EXPECT_EQ(c.port.completed.size(), 3u);
}

// Two files in turn at one address, before anything watched it: the copy is of the one, the mappings have the other.
TEST(Teacher, OfCodeThatNothingWatchedOnlyWhatIsStillThereIsLearned) {
  Class c;
  c.port.times_mapped = 3;
  c.snapshot(0);
  c.port.waiting.back().unwatched = 1;
  c.teacher.look();
  EXPECT_TRUE(c.port.published.empty());
  EXPECT_TRUE(c.port.completed.empty());
  c.snapshot(0);
  c.port.waiting.back().unwatched = 3;
  c.teacher.look();
  EXPECT_EQ(c.port.completed.size(), 1u);
}

// Its compiled code is 0x100 bytes from kCode on.
class FakeMadeCode final : public MadeCode {
 public:
  std::optional<symbols::UnwindRule> rule(Pid, uint64_t address, const std::vector<events::Vma>&) override {
    if (address >= kCode + 0x100) return std::nullopt;
    return symbols::UnwindRule{symbols::UnwindRule::Kind::kStack, 2, 16};
  }
  std::vector<AddressRange> gone(Pid tgid) override {
    EXPECT_EQ(tgid, 7);
    ++asked;
    return replaced;
  }
  void forget() override { ++forgotten; }
  std::vector<AddressRange> replaced;
  int asked = 0, forgotten = 0;
};

TEST(Teacher, RulesOfMadeCodeThatWasReplacedAreWithdrawn) {
  Class c;
  FakeMadeCode made;
  Teacher teacher(
      c.port, c.binaries, [&](Pid) -> Result<std::vector<events::Vma>> { return c.mappings; },
      [&] { return c.now; }, {}, &made);
  c.snapshot(0, kCode + 0x200);  // nothing is known of it, but of its callee
  teacher.look();
  ASSERT_EQ(c.port.published.size(), 3u);
  EXPECT_EQ(c.port.published[0].rule.kind, symbols::UnwindRule::Kind::kStack);
  EXPECT_EQ(c.port.published[1].rule, symbols::kFramePointerRule);
  EXPECT_EQ(made.forgotten, 1);
  made.replaced = {{kCode, kCode + 0x100}};
  c.now += Teacher::kCheckAgain - 1;
  teacher.look();
  EXPECT_EQ(made.asked, 0);
  EXPECT_THAT(c.port.withdrawn, IsEmpty());
  c.now += 1;
  teacher.look();
  EXPECT_EQ(made.asked, 1);
  EXPECT_THAT(c.port.withdrawn, ElementsAre(AddressRange{kCode, kCode + 0x100}));
  made.replaced.clear();
  for (TimeNs pause = Teacher::kCheckAgain; pause <= Teacher::kCheckSeldom; pause *= 2) {
    c.now += pause - 1;
    teacher.look();
    c.now += 1;
    teacher.look();
  }
  EXPECT_EQ(made.asked, 4) << "each time later, while it is what it was";
  c.now += Teacher::kCheckSeldom - 1;
  teacher.look();
  EXPECT_EQ(made.asked, 4);
  c.now += 1;
  c.port.now = std::nullopt;  // traced no more
  teacher.look();
  c.now += Teacher::kCheckSeldom;
  teacher.look();
  EXPECT_EQ(made.asked, 5);
}

TEST(Teacher, WhoIsTiredAllowsNoSnapshotsUntilItHasSavedUpAgain) {
  Class c;
  c.port.while_taking = [&] { c.now += Teacher::kMostSaved * 6 / 10; };
  c.snapshot(0);
  c.teacher.look();  // six tenths of what may be saved
  c.snapshot(0);
  c.teacher.look();  // 1.2, less what was saved while it worked
  c.port.while_taking = nullptr;
  const TimeNs owed = Teacher::kMostSaved * 2 / 10;
  c.now += (owed - Teacher::kMostSaved * 12 / 10 / Teacher::kShare) * Teacher::kShare - 100;
  c.teacher.look();
  c.now += 200;
  c.teacher.look();
  EXPECT_THAT(c.port.allowed, ElementsAre(Teacher::kSnapshots, 0u, 0u, Teacher::kSnapshots));
  EXPECT_EQ(c.teacher.totals().starved, 2u);
}

TEST(Teacher, MoreThanItsMostIsNotSaved) {
  Class c;
  c.teacher.look();
  c.now += 1000 * Teacher::kMostSaved;
  c.teacher.look();
  c.port.while_taking = [&] { c.now += Teacher::kMostSaved + 1; };
  c.snapshot(0);
  c.teacher.look();
  EXPECT_EQ(c.teacher.totals().starved, 1u);
}

TEST(Teacher, ALookThatFindsNothingIsWorkToo) {
  Class c;
  c.port.while_taking = [&] { c.now += Teacher::kMostSaved + 1; };
  c.teacher.look();
  EXPECT_EQ(c.teacher.totals().starved, 1u);
}

// On a busy machine a look takes long, and works little.
TEST(Teacher, WhatItWaitsForACpuIsNoWorkOfIts) {
  Class c;
  Teacher teacher(
      c.port, c.binaries, [&](Pid) -> Result<std::vector<events::Vma>> { return c.mappings; },
      [&] { return c.now; }, [] { return TimeNs{0}; });
  c.port.while_taking = [&] { c.now += 2 * Teacher::kMostSaved; };
  c.snapshot(0);
  teacher.look();
  EXPECT_THAT(c.port.allowed, ElementsAre(Teacher::kSnapshots));
}

TEST(Teacher, KnowsNothingOfProcessesThatHaveEnded) {
  Class c;
  size_t most = 0;
  for (uint32_t space = 1; space <= 1000; ++space) {
    c.now += 1'000'000'000;
    c.snapshot(0, kCode + 0x20, SpaceId{space});
    c.teacher.look();
    if (space > 3) c.port.ended.insert(SpaceId{space});
    most = std::max(most, c.teacher.spaces());
  }
  EXPECT_LE(most, 20u);
  // Of those that live it knows what it knew.
  const int readings = c.readings;
  c.snapshot(0, kCode + 0x20, SpaceId{1});
  c.teacher.look();
  EXPECT_EQ(c.readings, readings);
}

}  // namespace
}  // namespace memwhy::unwind
