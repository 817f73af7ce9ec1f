// SPDX-License-Identifier: Apache-2.0
// The schedule, on a clock that only the test moves.
// Longer than 400 lines because every rule of the schedule has its test here.
#include "record/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/target.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using events::EndWhy;
using events::StartHow;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using Words = std::vector<std::string>;

class SamplerTest : public testing::Test {
 protected:
  SamplerTest() { make({}); }
  void make(SamplerOptions options) {
    sampler_ =
        std::make_unique<Sampler>(kernel_, processes_, symbols_, clock_, options,
                                  [this](events::Event event) { events_.push_back(std::move(event)); });
  }
  // Runs everything that is due until `until`, each thing at its moment. What came, as words with seconds
  // since begin.
  Words run(TimeNs until) {
    events_.clear();
    while (sampler_->next_due() <= begin_ + until) {
      clock_.set(std::max(clock_.now(), sampler_->next_due()));
      sampler_->run_due();
    }
    clock_.set(begin_ + until);
    return words(events_);
  }
  // The moments (ms since begin) of events of one kind in events_.
  template <typename T>
  std::vector<uint64_t> moments() const {
    std::vector<uint64_t> all;
    for (const auto& event : events_) {
      if (std::holds_alternative<T>(event.payload)) all.push_back((event.time - begin_) / kMs);
    }
    return all;
  }
  // What the last report of hooks says is not seen.
  std::vector<std::string> not_seen() const {
    for (auto event = events_.rbegin(); event != events_.rend(); ++event)
      if (const auto* hooks = std::get_if<events::HookReport>(&event->payload)) return hooks->sentences();
    return {};
  }
  events::SpaceStart start(uint32_t space, Pid pid, StartHow how, uint32_t parent) {
    events::SpaceStart start;
    start.space = SpaceId{space};
    start.tgid = pid;
    start.how = how;
    start.parent = SpaceId{parent};
    return start;
  }
  void tell(events::Payload payload) { sampler_->handle({clock_.now(), std::move(payload)}); }
  // Recorded, and its old space has ended; of the new one nobody has told.
  void be_in_exec() {
    processes_[10];
    ASSERT_TRUE(sampler_->add(10));
    tell(events::SpaceEnd{SpaceId{1}, EndWhy::kExeced});
  }
  static events::Stack stack(uint32_t id, uint32_t space, std::vector<uint64_t> frames = {0x1000123}) {
    events::Stack s;
    s.id = StackId{id};
    s.space = SpaceId{space};
    s.frames = std::move(frames);
    return s;
  }

  ManualClock clock_;
  TimeNs begin_ = clock_.now();
  ScriptedKernel kernel_{clock_};
  ScriptedProcesses processes_;
  ScriptedSymbols symbols_;
  std::vector<events::Event> events_;
  std::unique_ptr<Sampler> sampler_;
};

TEST_F(SamplerTest, AttachReadsEverythingInOrder) {
  processes_[10];
  const auto space = sampler_->add(10);
  ASSERT_TRUE(space);
  EXPECT_EQ(*space, SpaceId{1});
  EXPECT_THAT(words(events_), ElementsAre("hooks", "anchor", "start 1", "counters 1", "vmas 1", "threads 1",
                                          "whole table 1", "scan 1"));
  const auto& identity = std::get<events::SpaceStart>(events_[2].payload);
  EXPECT_EQ(identity.how, StartHow::kAttached);
  EXPECT_EQ(identity.exe_binary, BinaryId{7});
  EXPECT_EQ(std::get<events::PageScan>(events_[7].payload).scan, 1U);
  EXPECT_EQ(std::get<events::PageScan>(events_[7].payload).after->space, SpaceId{1});
  EXPECT_EQ(sampler_->rss_bytes(), uint64_t{100} << 20);
}

TEST_F(SamplerTest, TheScheduleOfALongRecording) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(125 * kSecond);
  std::vector<uint64_t> seconds;
  for (uint64_t s = 1; s <= 125; ++s) seconds.push_back(s * 1000);
  EXPECT_EQ(moments<events::Counters>(), seconds);
  EXPECT_EQ(moments<events::PageTableRuns>(), seconds);
  std::vector<uint64_t> tens;
  for (uint64_t s = 10; s <= 120; s += 10) tens.push_back(s * 1000);
  EXPECT_EQ(moments<events::PageScan>(), tens);
  EXPECT_EQ(moments<events::VmaList>(), tens);
  EXPECT_EQ(moments<events::ThreadList>(), tens);
  EXPECT_THAT(moments<events::ClockAnchor>(), ElementsAre(60'000, 120'000));
  std::vector<uint64_t> restated;
  for (const auto& event : events_) {
    const auto* table = std::get_if<events::PageTableRuns>(&event.payload);
    if (table != nullptr && table->restated) restated.push_back((event.time - begin_) / kMs);
  }
  EXPECT_THAT(restated, ElementsAre(60'000, 120'000));
  EXPECT_EQ(std::ranges::count(kernel_.calls(), "reclaim 1 outside"), 2);
}

TEST_F(SamplerTest, AShortRecordingIsScannedEachQuarter) {
  EXPECT_EQ(scan_period_for(std::nullopt), 10 * kSecond);
  EXPECT_EQ(scan_period_for(40 * kSecond), 10 * kSecond);
  EXPECT_EQ(scan_period_for(39 * kSecond), 9'750 * kMs);
  make({scan_period_for(10 * kSecond), false});
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(9'999 * kMs);
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(2'500, 5'000, 7'500));
  EXPECT_THAT(words(events_),
              Contains("table 1").Times(9 + 2));  // 1 Hz, and after the scans between two seconds
}

TEST_F(SamplerTest, TheTableIsReadAfterTheScanAndTheVmasBefore) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(9 * kSecond);
  EXPECT_THAT(run(10 * kSecond), ElementsAre("counters 1", "vmas 1", "threads 1", "table 1", "scan 1"));
  EXPECT_TRUE(std::ranges::is_sorted(events_, {}, &events::Event::time));
}

TEST_F(SamplerTest, AJumpOfFivePercentIsScannedAtOnce) {
  auto& process = processes_[10];
  process.rss_bytes = 1000 * kPageBytes;
  ASSERT_TRUE(sampler_->add(10));
  process.rss_bytes += 50 * kPageBytes - 1;
  run(1 * kSecond);
  EXPECT_THAT(moments<events::PageScan>(), IsEmpty());
  process.rss_bytes = 1064 * kPageBytes;
  run(2 * kSecond);
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(2'000));
  run(3 * kSecond);
  EXPECT_THAT(moments<events::PageScan>(), IsEmpty()) << "measured from the last scan";
  process.rss_bytes = 900 * kPageBytes;
  run(12 * kSecond);
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(4'000)) << "the next one in turn is 10 s later";
  run(14 * kSecond);
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(14'000));
}

TEST_F(SamplerTest, ALostRemovalForcesARescanAtOnce) {
  processes_[10];
  processes_[11];
  ASSERT_TRUE(sampler_->add(10));
  ASSERT_TRUE(sampler_->add(11));
  run(3'200 * kMs);
  tell(events::Loss{SpaceId{2}, "removal", 3});
  EXPECT_LE(sampler_->next_due(), clock_.now());
  EXPECT_THAT(run(3'300 * kMs), ElementsAre("vmas 2", "threads 2", "table 2", "scan 2"));
  tell(events::Loss{SpaceId::kNone, "removal", 1});
  EXPECT_THAT(run(3'400 * kMs), ElementsAre("vmas 1", "threads 1", "table 1", "scan 1", "vmas 2", "threads 2",
                                            "table 2", "scan 2"));
}

TEST_F(SamplerTest, ALostStackIsSentAndNamedAgain) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  kernel_.put(clock_.now(), stack(5, 1));
  kernel_.put(clock_.now(), stack(6, 1));
  kernel_.put(clock_.now(), stack(7, 99));
  kernel_.drain([](const events::Event&) {});
  kernel_.lost_stack(StackId{6}, SpaceId{1});
  kernel_.lost_stack(StackId{7}, SpaceId{1});
  events_.clear();
  tell(events::Loss{SpaceId::kNone, "stack", 2});
  EXPECT_THAT(words(events_), ElementsAre("stack 1", "stack 99", "symbol 1"));
  EXPECT_EQ(std::get<events::Stack>(events_[0].payload), stack(6, 1));
  EXPECT_EQ(symbols_.resolved, (std::vector<ScriptedSymbols::Call>{{10, 1, 1, 6}}));
  events_.clear();
  tell(events::Loss{SpaceId::kNone, "stack", 2});
  EXPECT_THAT(words(events_), IsEmpty()) << "each once, though a Loss is told until there is room";
  kernel_.lost_stack(StackId{5}, SpaceId{1});
  sampler_->finish();
  sampler_->release();
  EXPECT_EQ(word(events_.back()), "symbol 1") << "what the last look of intake lost, too";
}

TEST_F(SamplerTest, ScansOutOfTurnCostAtMostOnePercentOfACpu) {
  auto& process = processes_[10];
  process.on_call = [&](const std::string& call) {
    if (call == "scan") clock_.burn(20 * kMs);
  };
  ASSERT_TRUE(sampler_->add(10));
  tell(events::Loss{SpaceId::kNone, "removal", 1});
  run(1'900 * kMs);
  EXPECT_THAT(moments<events::PageScan>(), IsEmpty());
  run(2'100 * kMs);
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(2'000));
  EXPECT_EQ(sampler_->costs()[0].scans, 2U);
  EXPECT_EQ(sampler_->costs()[0].scan_cpu_ns, 40 * kMs);
  EXPECT_EQ(sampler_->costs()[0].tgid, 10);
}

// Attaching, scans and names; not what is read each second.
TEST_F(SamplerTest, WhatIsDoneNowAndThenIsCounted) {
  auto& process = processes_[10];
  process.on_call = [&](const std::string& call) {
    if (call == "scan") clock_.burn(20 * kMs);
    if (call == "counters") clock_.burn(1 * kMs);
  };
  symbols_.on_resolve = [&](SpaceId) { clock_.burn(5 * kMs); };
  ASSERT_TRUE(sampler_->add(10));
  EXPECT_EQ(sampler_->lumps_ns(), 21 * kMs) << "all of it, and the scan in it once";
  run(1'500 * kMs);
  EXPECT_EQ(sampler_->lumps_ns(), 21 * kMs);
  kernel_.put_table(SpaceId{1}, stack(5, 1));
  run(2'500 * kMs);
  EXPECT_EQ(sampler_->lumps_ns(), 26 * kMs);
  run(10'500 * kMs);
  EXPECT_EQ(sampler_->lumps_ns(), 46 * kMs);
}

TEST_F(SamplerTest, StopIsALastLook) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(4'300 * kMs);
  events_.clear();
  sampler_->finish();
  EXPECT_THAT(words(events_),
              ElementsAre("counters 1", "vmas 1", "threads 1", "table 1", "scan 1", "anchor"));
  EXPECT_THAT(kernel_.calls(), Not(Contains("untrace 1")));
  sampler_->release();
  EXPECT_THAT(kernel_.calls(), Contains("untrace 1"));
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SamplerTest, NewStacksAreNamedInTheSpaceOfTheirFirstSight) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  kernel_.put_table(SpaceId{1}, stack(5, 1));
  EXPECT_THAT(run(1 * kSecond), ElementsAre("counters 1", "stack 1", "table 1", "symbol 1"));
  tell(stack(6, 1));
  EXPECT_EQ(symbols_.resolved, (std::vector<ScriptedSymbols::Call>{{10, 1, 1, 5}, {10, 1, 1, 6}}));
  tell(stack(7, 99));
  EXPECT_EQ(symbols_.resolved.size(), 2U) << "of a space that is not ours";
}

TEST_F(SamplerTest, ALibraryLoadedSinceTheListIsLookedUpInANewOne) {
  auto& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  events::Vma library;
  library.range = {0x7f0000000000, 0x7f0000001000};
  process.vmas.push_back(library);
  run(2'500 * kMs);
  events_.clear();
  tell(stack(5, 1, {0x7f0000000010}));
  EXPECT_THAT(words(events_), ElementsAre("vmas 1", "symbol 1"));
  EXPECT_EQ(symbols_.resolved.back().vmas, 2U);
  tell(stack(6, 1, {0x5}));
  tell(stack(7, 1, {0x6}));
  EXPECT_THAT(words(events_), ElementsAre("vmas 1", "symbol 1", "symbol 1", "symbol 1")) << "once a second";
}

TEST_F(SamplerTest, AForkedChildIsOpenedWhenItHasNotExeced) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[20].comm = "child";
  events_.clear();
  tell(start(2, 20, StartHow::kForked, 1));
  EXPECT_THAT(run(99 * kMs), IsEmpty());
  EXPECT_EQ(processes_.opened, 1);
  EXPECT_THAT(run(209 * kMs), ElementsAre("table 1"))
      << "read, and not yet certain; with what its parent had";
  EXPECT_EQ(processes_.opened, 2);
  EXPECT_THAT(run(210 * kMs), ElementsAre("start 2", "vmas 2", "vmas 2", "threads 2", "table 2", "scan 2"));
  const auto& identity = std::get<events::SpaceStart>(events_[0].payload);
  EXPECT_EQ(identity.how, StartHow::kForked);
  EXPECT_EQ(identity.parent, SpaceId{1});
  EXPECT_EQ(identity.comm, "child");
  EXPECT_EQ(sampler_->targets(), 2U);
}

TEST_F(SamplerTest, AForkThatExecsIsNeverLookedAt) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  tell(start(2, 20, StartHow::kForked, 1));
  processes_[20].comm = "program";
  run(30 * kMs);
  tell(start(3, 20, StartHow::kExeced, 2));
  EXPECT_EQ(sampler_->targets(), 2U);
  EXPECT_THAT(kernel_.calls(), Contains("reclaim 2 all"));
  run(140 * kMs);
  EXPECT_THAT(words(events_), ElementsAre("start 3", "vmas 3", "vmas 3", "threads 3", "table 3", "scan 3"));
}

TEST_F(SamplerTest, AnIdentityReadAfterTheExecIsNotTheOldSpaces) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[20].comm = "new";
  tell(start(2, 20, StartHow::kForked, 1));
  run(150 * kMs);  // read at 100 ms
  events_.clear();
  sampler_->handle({begin_ + 90 * kMs, start(3, 20, StartHow::kExeced, 2)});
  EXPECT_THAT(words(events_), Not(Contains("start 2")));
  EXPECT_THAT(run(300 * kMs), Contains("start 3"));
}

TEST_F(SamplerTest, AnIdentityReadBeforeTheExecIs) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[20].comm = "old";
  tell(start(2, 20, StartHow::kForked, 1));
  run(150 * kMs);
  events_.clear();
  sampler_->handle({begin_ + 120 * kMs, start(3, 20, StartHow::kExeced, 2)});
  EXPECT_THAT(words(events_), Contains("start 2"));
}

TEST_F(SamplerTest, ExecReplacesTheTarget) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[10].mapped = false;
  processes_.replace(10).comm = "after";
  events_.clear();
  tell(start(2, 10, StartHow::kExeced, 1));
  EXPECT_EQ(sampler_->targets(), 1U);
  EXPECT_FALSE(sampler_->deserted());
  EXPECT_THAT(kernel_.calls(), Contains("reclaim 1 all"));
  const auto seen = run(1 * kSecond);
  EXPECT_THAT(seen, Contains("start 2"));
  EXPECT_THAT(seen, Contains("scan 2"));
  EXPECT_THAT(seen, Not(Contains("counters 1")));
  EXPECT_EQ(processes_.open_now, 1);
}

// A signal in the moment of an exec: intake tells of it when the last look is over.
TEST_F(SamplerTest, AnExecThatComesAfterTheLastLookIsScanned) {
  processes_[10];
  processes_[11];
  ASSERT_TRUE(sampler_->add(10));
  ASSERT_TRUE(sampler_->add(11));
  run(1 * kSecond);
  sampler_->finish();
  processes_.replace(10).comm = "after";
  events_.clear();
  tell(start(7, 10, StartHow::kExeced, 1));
  sampler_->finish_new();
  EXPECT_THAT(words(events_), IsSupersetOf({"start 7", "counters 7", "scan 7"}));
  EXPECT_THAT(words(events_), Not(Contains("scan 2"))) << "it was looked at";
  events_.clear();
  sampler_->finish_new();
  EXPECT_THAT(words(events_), IsEmpty());
}

// The kernel tells of the end when the exec lets its old memory go, and of the start when the new program is mapped: that
// may have to be read from a slow disk.
TEST_F(SamplerTest, AnExecThatTakesLongDoesNotEndTheRecording) {
  ASSERT_NO_FATAL_FAILURE(be_in_exec());
  run(20 * kSecond);
  EXPECT_EQ(sampler_->targets(), 0U);
  EXPECT_FALSE(sampler_->deserted());
  processes_.replace(10).comm = "after";
  tell(start(2, 10, StartHow::kExeced, 1));
  EXPECT_EQ(sampler_->targets(), 1U);
  EXPECT_THAT(run(21 * kSecond), Contains("scan 2"));
}

TEST_F(SamplerTest, AnExecOfWhichNothingIsHeardAgainEndsTheRecording) {
  ASSERT_NO_FATAL_FAILURE(be_in_exec());
  clock_.set(begin_ + 29'999 * kMs);
  EXPECT_FALSE(sampler_->deserted());
  EXPECT_LE(sampler_->next_due(), begin_ + 30 * kSecond);
  clock_.set(begin_ + 30 * kSecond);
  EXPECT_TRUE(sampler_->deserted());
}

TEST_F(SamplerTest, AnExecThatFailsEndsTheRecording) {
  ASSERT_NO_FATAL_FAILURE(be_in_exec());
  run(1 * kSecond);
  EXPECT_FALSE(sampler_->deserted());
  tell(events::ProcessExit{SpaceId{1}, 10, 9, std::nullopt});
  EXPECT_TRUE(sampler_->deserted());
}

TEST_F(SamplerTest, AnExecOfWhichNothingMayBeHeardAgainEndsTheRecording) {
  ASSERT_NO_FATAL_FAILURE(be_in_exec());
  run(1 * kSecond);
  tell(events::Loss{SpaceId::kNone, "exec", 1});  // told late, when the ring has room
  EXPECT_FALSE(sampler_->deserted());
  tell(events::Loss{SpaceId::kNone, "exit", 1});
  EXPECT_TRUE(sampler_->deserted());
}

TEST_F(SamplerTest, AnExecThatFindsNoRoomEndsTheRecording) {
  ASSERT_NO_FATAL_FAILURE(be_in_exec());
  run(1 * kSecond);
  tell(events::Loss{SpaceId{1}, "exec", 1});
  EXPECT_TRUE(sampler_->deserted());
}

TEST_F(SamplerTest, AProgramForAnotherMachineIsToldAndLeft) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[10].mapped = false;
  processes_.replace(10);
  symbols_.machine = "i386";
  events_.clear();
  tell(start(2, 10, StartHow::kExeced, 1));
  const auto seen = run(1 * kSecond);
  EXPECT_THAT(seen, Contains("start 2"));
  EXPECT_THAT(seen, Contains("detached 2"));
  EXPECT_THAT(seen, Not(Contains("scan 2")));
  EXPECT_THAT(kernel_.calls(), Contains("untrace 2"));
  EXPECT_EQ(sampler_->targets(), 0U);
  std::vector<std::string> not_seen;
  for (const auto& event : events_)
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) not_seen = hooks->sentences();
  EXPECT_THAT(not_seen,
              Contains("pid 10 became a program for i386: only programs for x86-64 can be recorded."));
}

TEST_F(SamplerTest, AProgramForAnotherMachineIsNotAttachedTo) {
  processes_[10].comm = "old";
  symbols_.machine = "i386";
  const auto added = sampler_->add(10);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), ErrorCode::kEnvironment);
  EXPECT_EQ(added.error().message(),
            "pid 10 (old) is a program for i386: this memwhy can record programs for x86-64 only");
  EXPECT_EQ(sampler_->targets(), 0U);
  EXPECT_THAT(kernel_.calls(), Contains("untrace 1"));
}

TEST_F(SamplerTest, WhatWasLostOfFilesIsToldWithTheHooks) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  symbols_.notices = {"The process that reads files of targets died; it was replaced."};
  run(2 * kSecond);
  std::vector<std::string> not_seen;
  for (const auto& event : events_)
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) not_seen = hooks->sentences();
  EXPECT_THAT(not_seen, Contains("The process that reads files of targets died; it was replaced."));
}

TEST_F(SamplerTest, AVforkChildsExecLeavesItsParentAlone) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[20];
  tell(start(2, 20, StartHow::kExeced, 1));
  EXPECT_EQ(sampler_->targets(), 2U);
  EXPECT_THAT(run(1 * kSecond), Contains("counters 1"));
}

TEST_F(SamplerTest, StacksOfAShortLivedChildAreNamedByItsParentsMappings) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  tell(start(2, 20, StartHow::kForked, 1));
  tell(stack(5, 2));
  EXPECT_THAT(symbols_.resolved, IsEmpty());
  kernel_.put_table(SpaceId{2}, stack(6, 2));
  tell(events::SpaceEnd{SpaceId{2}, EndWhy::kExited});
  EXPECT_EQ(symbols_.resolved, (std::vector<ScriptedSymbols::Call>{{10, 1, 1, 5}, {10, 1, 1, 6}}));
  EXPECT_EQ(sampler_->targets(), 1U);
}

TEST_F(SamplerTest, ATargetThatExitsEndsTheRecordingAfterAMoment) {
  auto& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(500 * kMs);
  process.alive = false;
  kernel_.put_table(SpaceId{1}, stack(9, 1));
  events_.clear();
  tell(events::ProcessExit{SpaceId{1}, 10, 0, std::nullopt});
  tell(events::SpaceEnd{SpaceId{1}, EndWhy::kExited});
  EXPECT_THAT(words(events_), ElementsAre("stack 1", "table 1", "symbol 1"))
      << "the table outlives the process";
  EXPECT_THAT(kernel_.calls(), Contains("reclaim 1 all"));
  EXPECT_FALSE(sampler_->deserted());
  EXPECT_EQ(sampler_->next_due(), begin_ + 700 * kMs);
  clock_.set(begin_ + 700 * kMs);
  EXPECT_TRUE(sampler_->deserted());
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SamplerTest, AnExitWhoseEventWasLostIsNoticed) {
  auto& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  process.alive = false;
  EXPECT_THAT(run(1'199 * kMs), ElementsAre("table 1")) << "the kernel's word may be on its way";
  EXPECT_THAT(run(1'200 * kMs), ElementsAre("table 1", "exited 1"));
  EXPECT_EQ(sampler_->targets(), 0U);
}

TEST_F(SamplerTest, AnExecWhoseEventWasLostIsNoticed) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  processes_[10].mapped = false;
  processes_.replace(10).comm = "after";
  kernel_.be(10, 2);
  tell(events::Loss{SpaceId::kNone, "exec", 1});
  run(1 * kSecond);
  EXPECT_THAT(words(events_), IsSupersetOf({"table 1", "start? 2", "start 2", "vmas 2"}));
  EXPECT_THAT(words(events_), Contains("scan 2"));
  EXPECT_THAT(kernel_.calls(), Contains("untrace 1"));
  EXPECT_EQ(sampler_->targets(), 1U);
}

// A target that vanishes in each step of the attach.
class VanishingTest : public SamplerTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Steps, VanishingTest, testing::Values("identity", "counters", "vmas", "scan"),
                         [](const auto& step) { return step.param; });

TEST_P(VanishingTest, DuringAttach) {
  auto& process = processes_[10];
  process.on_call = [&](const std::string& call) {
    if (call == GetParam()) process.alive = false;
  };
  const auto added = sampler_->add(10);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), ErrorCode::kTargetGone);
  EXPECT_EQ(added.error().message(), "pid 10 went away while it was being attached");
  EXPECT_EQ(sampler_->targets(), 0U);
  EXPECT_EQ(processes_.open_now, 0);
  EXPECT_THAT(kernel_.calls(), Contains("untrace 1"));
  EXPECT_EQ(word(events_.back()), "exited 1");
}

TEST_P(VanishingTest, WhileItIsRecorded) {
  auto& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(9'900 * kMs);
  process.on_call = [&](const std::string& call) {
    if (call == GetParam()) process.alive = false;
  };
  run(9'999 * kMs);
  process.alive = GetParam() != "identity";  // which is not read again
  run(11 * kSecond);
  EXPECT_EQ(sampler_->targets(), 0U);
  EXPECT_EQ(word(events_.back()), "exited 1");
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_P(VanishingTest, AtTheLastLook) {
  auto& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  process.on_call = [&](const std::string& call) {
    if (call == GetParam()) process.alive = false;
  };
  events_.clear();
  sampler_->finish();
  EXPECT_EQ(word(events_.back()), "anchor");
  sampler_->release();
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SamplerTest, AnExecDuringAttachIsAttachedAgain) {
  auto& process = processes_[10];
  process.on_call = [&](const std::string& call) {
    if (call != "scan") return;
    process.mapped = false;
    processes_.replace(10).comm = "after";
    kernel_.be(10, 2);
  };
  kernel_.be(10, 1);
  const auto keep = processes_.open(10);  // the script must outlive its replacement
  const auto added = sampler_->add(10);
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(*added, SpaceId{2});
  EXPECT_THAT(words(events_), Contains("execed 1"));
  EXPECT_EQ(word(events_.back()), "scan 2");
}

TEST_F(SamplerTest, AddAndRemove) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  EXPECT_EQ(*sampler_->add(10), SpaceId{1}) << "twice is once";
  EXPECT_EQ(processes_.open_now, 1);
  tell(stack(5, 1));
  EXPECT_THAT(symbols_.remembered, ElementsAre(SpaceId{1}));
  EXPECT_EQ(sampler_->remove(11).error().code(), ErrorCode::kTargetGone);
  events_.clear();
  ASSERT_TRUE(sampler_->remove(10));
  EXPECT_THAT(words(events_), ElementsAre("table 1", "detached 1"));
  EXPECT_THAT(symbols_.remembered, IsEmpty());
  const auto calls = kernel_.calls();
  EXPECT_GT(std::ranges::find(calls, "untrace 1"), std::ranges::find(calls, "table 1"))
      << "a table that is let go is gone";
  EXPECT_EQ(processes_.open_now, 0);
}

TEST_F(SamplerTest, AFullTableIsReclaimedAtEachScan) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  sampler_->set_table_fill(0.8);
  run(10 * kSecond);
  EXPECT_EQ(std::ranges::count(kernel_.calls(), "reclaim 1 outside"), 1);
}

// A grace period takes tens of milliseconds: they end together.
TEST_F(SamplerTest, TheTablesOfAllThatEndedAreGivenBackTogether) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  for (uint32_t i = 0; i < 40; ++i) {
    tell(start(2 + i, static_cast<Pid>(100 + i), StartHow::kForked, 1));
    tell(events::SpaceEnd{SpaceId{2 + i}, EndWhy::kExited});
  }
  EXPECT_EQ(std::ranges::count(kernel_.calls(), "reclaim 41 all"), 1);
  EXPECT_THAT(kernel_.calls(), Not(Contains("settle")));
  sampler_->run_due();
  EXPECT_EQ(kernel_.calls().back(), "settle");
  EXPECT_THAT(kernel_.calls(), Contains("settle").Times(1));
  sampler_->release();
  EXPECT_EQ(kernel_.calls().back(), "settle");
}

TEST_F(SamplerTest, AThousandChildrenLeaveNothingBehind) {
  make({10 * kSecond, true});
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  EXPECT_THAT(kernel_.calls(), Contains("trace 10 follow"));
  for (uint32_t i = 0; i < 1000; ++i) {
    const Pid pid = static_cast<Pid>(100 + i);
    processes_[pid];
    tell(start(2 + i, pid, StartHow::kForked, 1));
    tell(stack(i, 2 + i));
    run((i + 1) * 120 * kMs);
    processes_[pid].alive = false;
    tell(events::SpaceEnd{SpaceId{2 + i}, EndWhy::kExited});
  }
  EXPECT_EQ(sampler_->targets(), 1U);
  EXPECT_EQ(processes_.open_now, 1);
  tell(stack(1000, 1));
  EXPECT_EQ(symbols_.resolved.size(), 1001U);
  EXPECT_THAT(symbols_.remembered, ElementsAre(SpaceId{1}));
  sampler_->release();
  EXPECT_THAT(symbols_.remembered, IsEmpty());
}

// Time is up in the first of three: that one is finished, the others are counted.
TEST_F(SamplerTest, LastLooksForWhichThereIsNoTimeAreCounted) {
  bool late = false;
  SamplerOptions options;
  options.out_of_time = [&] { return late; };
  make(options);
  for (const Pid pid : {10, 11, 12}) ASSERT_TRUE((processes_[pid], sampler_->add(pid)));
  processes_[10].on_call = [&](const std::string& call) { late |= call == "scan"; };
  events_.clear();
  sampler_->finish();
  EXPECT_THAT(words(events_), Contains("scan 1").Times(1));
  EXPECT_THAT(words(events_), Not(Contains("scan 2")));
  EXPECT_THAT(words(events_), Not(Contains("scan 3")));
  std::vector<std::string> told;
  for (const auto& event : events_) {
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) told = hooks->sentences();
  }
  EXPECT_THAT(told, ElementsAre(testing::StartsWith("The last look at 2 of 3 processes was left out")));
}

// A long round of readings is not gone on with once the recording is to end.
TEST_F(SamplerTest, ARoundEndsBetweenTwoTargetsWhenTheRecordingIsToEnd) {
  bool stop = false;
  SamplerOptions options;
  options.stop_requested = [&] { return stop; };
  make(options);
  for (const Pid pid : {10, 11}) ASSERT_TRUE((processes_[pid], sampler_->add(pid)));
  processes_[10].on_call = [&](const std::string&) { stop = true; };
  events_.clear();
  clock_.advance(kSecond);
  sampler_->run_due();
  EXPECT_THAT(words(events_), Contains("counters 1"));
  EXPECT_THAT(words(events_), Not(Contains("counters 2")));
}

TEST_F(SamplerTest, WhatRestsIsReadLessOften) {
  SamplerOptions options;
  options.rests = true;
  make(options);
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(125 * kSecond);
  // Its first tick has nothing to compare with.
  EXPECT_THAT(moments<events::Counters>(), ElementsAre(1000, 11'000, 21'000, 31'000, 41'000, 51'000, 61'000,
                                                       71'000, 81'000, 91'000, 101'000, 111'000, 121'000));
  EXPECT_THAT(moments<events::PageScan>(), ElementsAre(60'000, 120'000));
}

TEST_F(SamplerTest, WhatRestedIsReadAtOnceWhenItMoves) {
  SamplerOptions options;
  options.rests = true;
  make(options);
  ScriptedProcess& process = processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  run(15 * kSecond);
  process.rss_bytes += kPageBytes;
  EXPECT_THAT(run(16 * kSecond), Contains("counters 1"));
  EXPECT_THAT(run(30 * kSecond), Not(Contains("scan 1")));
  process.rss_bytes += 64 * kPageBytes;  // less than 5 %
  EXPECT_THAT(run(39'900 * kMs), Not(Contains("scan 1")));
  EXPECT_THAT(run(40 * kSecond), Contains("scan 1"));
}

TEST_F(SamplerTest, OnlyTheseSpacesAreRestated) {
  for (const Pid pid : {10, 11}) ASSERT_TRUE((processes_[pid], sampler_->add(pid)));
  run(5 * kSecond);
  sampler_->restate({SpaceId{2}, SpaceId{9}});
  const Words words = run(5 * kSecond);
  EXPECT_THAT(words, IsSupersetOf({"whole table 2", "scan 2"}));
  EXPECT_THAT(words, Not(Contains("scan 1")));
}

// Stacks without end, each of which takes 10 ms to name: 3 s at once, and a twentieth of a CPU from then on.
TEST_F(SamplerTest, TheNamesOfOneTargetHaveABudget) {
  processes_[10];
  processes_[11];
  ASSERT_TRUE(sampler_->add(10));
  ASSERT_TRUE(sampler_->add(11));
  symbols_.on_resolve = [this](SpaceId space) { clock_.burn(space == SpaceId{1} ? 10 * kMs : 0); };
  const auto named = [this](uint32_t space) {
    return std::ranges::count_if(symbols_.resolved, [&](const auto& call) { return call.space == space; });
  };
  for (uint32_t i = 1; i <= 6000; ++i) tell(stack(i, 1));
  EXPECT_EQ(named(1), 301) << "the last one goes beyond it";
  tell(stack(7000, 2));
  EXPECT_EQ(named(2), 1) << "the other target has its own";
  uint64_t lost = 0;
  for (const auto& event : events_)
    if (const auto* loss = std::get_if<events::Loss>(&event.payload); loss && loss->what == "symbols") {
      EXPECT_EQ(loss->space, SpaceId{1});
      lost += loss->count;
    }
  EXPECT_EQ(lost, 6000U - 301 - 4096) << "no room to wait";
  EXPECT_THAT(not_seen(), Contains(HasSubstr("Not all functions of pid 10 are named")));
  run(20 * kSecond);
  EXPECT_GE(named(1), 300 + 95);
  EXPECT_LE(named(1), 300 + 105);
}

// Looking at a child takes 100 ms: ten at once, and one a second from then on.
TEST_F(SamplerTest, ChildrenAreLookedAtForATenthOfACpu) {
  processes_[10];
  ASSERT_TRUE(sampler_->add(10));
  for (uint32_t i = 0; i < 100; ++i) {
    const Pid pid = static_cast<Pid>(100 + i);
    processes_[pid].on_call = [this](const std::string& call) {
      if (call == "identity") clock_.burn(100 * kMs);
    };
    tell(start(2 + i, pid, StartHow::kForked, 1));
  }
  run(1 * kSecond);
  EXPECT_GE(processes_.opened, 1 + 10);
  EXPECT_LE(processes_.opened, 1 + 12);
  for (uint32_t i = 0; i < 100; ++i) tell(events::SpaceEnd{SpaceId{2 + i}, EndWhy::kExited});
  const int met = processes_.opened - 1;
  sampler_->finish();
  EXPECT_THAT(not_seen(), Contains(HasSubstr(std::to_string(100 - met) + " children were over")));
}

}  // namespace
}  // namespace memwhy::record
