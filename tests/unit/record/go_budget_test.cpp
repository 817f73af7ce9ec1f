// SPDX-License-Identifier: Apache-2.0
// A Go heap that costs much to read is read less often, and that is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "record/sampler.h"
#include "record/target.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

class GoScript : public ScriptedRuntime {
 public:
  GoScript(ManualClock& clock, uint64_t cost_ns, std::string name = "go", std::string title = "Go")
      : clock_(clock), cost_ns_(cost_ns), name_(std::move(name)), title_(std::move(title)) {}
  std::string_view name() const override { return name_; }
  std::string_view title() const override { return title_; }
  events::RuntimePages pages(const events::PageScan& pass, const Tell& tell) override {
    clock_.burn(cost_ns_);
    if (on_heap) on_heap(pass.scan);
    order += 'h';
    return ScriptedRuntime::pages(pass, tell);
  }
  bool has_long_details() const override { return true; }
  std::function<void(uint64_t scan)> on_heap;
  std::string order;  // of the readings: heap, profile, goroutines
  // The goroutines for as long as they last, or as there is time.
  void details(Details which, const Tell&) override {
    if (which == Details::kLearned) {
      order += 'p';
      return;
    }
    order += 'g';
    for (uint64_t left = goroutines_ns; left > 0; left -= 10 * kMs) {
      if (stop_ && stop_()) break;
      clock_.set(clock_.now() + 10 * kMs);
    }
  }
  uint64_t goroutines_ns = 0;
  void stop_when(const std::function<bool()>& stop) override { stop_ = stop; }

 private:
  std::function<bool()> stop_;
  ManualClock& clock_;
  uint64_t cost_ns_;
  std::string name_, title_;
};

class GoSourceOf : public ScriptedSource {
 public:
  GoSourceOf(ScriptedProcesses& all, std::shared_ptr<ScriptedProcess> process,
             std::vector<RuntimeSource*> runtimes)
      : ScriptedSource(all, std::move(process), 10), runtimes_(std::move(runtimes)) {}
  std::vector<RuntimeSource*> runtimes(const std::vector<events::Vma>&) override { return runtimes_; }

 private:
  std::vector<RuntimeSource*> runtimes_;
};

class GoOpener : public ProcessOpener {
 public:
  ScriptedProcess& process() { return *process_; }
  explicit GoOpener(std::vector<RuntimeSource*> runtimes) : runtimes_(std::move(runtimes)) {
    process_->vmas.push_back({});
    process_->vmas[0].range = {0x1000000, 0x9000000};
  }
  Result<std::unique_ptr<ProcessSource>> open(Pid) override {
    return std::unique_ptr<ProcessSource>(std::make_unique<GoSourceOf>(all_, process_, runtimes_));
  }

 private:
  std::vector<RuntimeSource*> runtimes_;
  ScriptedProcesses all_;
  std::shared_ptr<ScriptedProcess> process_ = std::make_shared<ScriptedProcess>();
};

class GoBudgetTest : public testing::Test {
 protected:
  // Records for 140 s; each reading of the heap costs so much.
  void record(uint64_t cost_ns, Pid targets = 1) {
    GoScript go(clock_, cost_ns);
    GoOpener processes({&go});
    Sampler sampler(kernel_, processes, symbols_, clock_, {}, [this](events::Event event) {
      const uint64_t second = (event.time - begin_) / kSecond;
      if (std::holds_alternative<events::RuntimePages>(event.payload)) readings_.push_back(second);
      if (std::holds_alternative<events::PageScan>(event.payload)) scans_.push_back(second);
      if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) told_ = hooks->sentences();
    });
    for (Pid pid = 10; pid < 10 + targets; ++pid) ASSERT_TRUE(sampler.add(pid));
    while (sampler.next_due() <= begin_ + 140 * kSecond) {
      clock_.set(std::max(clock_.now(), sampler.next_due()));
      sampler.run_due();
    }
    EXPECT_EQ(readings_, scans_);
  }

  ManualClock clock_;
  TimeNs begin_ = clock_.now();
  ScriptedKernel kernel_{clock_};
  ScriptedSymbols symbols_;
  std::vector<uint64_t> readings_, scans_;
  std::vector<std::string> told_;
};

TEST_F(GoBudgetTest, AHeapOfUsualSizeIsReadWithEachScan) {
  record(20 * kMs);
  EXPECT_THAT(scans_, ElementsAre(0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140));
  EXPECT_THAT(told_, IsEmpty());
}

// 500 ms are free; each reading of 300 ms is paid for by 30 s.
TEST_F(GoBudgetTest, AnExpensiveHeapIsReadForOnePercentOfACpu) {
  record(300 * kMs);
  EXPECT_THAT(scans_, ElementsAre(0, 10, 20, 40, 70, 100, 130));
  EXPECT_THAT(
      told_, ElementsAre("The pages of pid 10 are scanned less often than every 10 s: reading its Go heap so "
                         "often would take more than 1 % of a CPU."));
}

TEST_F(GoBudgetTest, OfManyTheFirstAreToldAndTheOthersCounted) {
  record(300 * kMs, 40);
  ASSERT_EQ(told_.size(), kMostNotices + 1);
  EXPECT_THAT(told_[kMostNotices - 1], StartsWith("The pages of pid 25 are scanned less often"));
  EXPECT_EQ(told_[kMostNotices], "24 more sentences like these are left out.");
}

class HolderScript : public GoScript {
 public:
  using GoScript::GoScript;
  events::RuntimePages pages(const events::PageScan& pass, const Tell& tell) override {
    events::RuntimePages out = GoScript::pages(pass, tell);
    out.trust = events::Trust::kVerified;
    out.uses = {"objects"};
    out.runs = {{pass.scan, 1, 0, 0, 0, 0}};
    return out;
  }
};

// One more than can be told apart, behind one that holds nothing.
TEST_F(GoBudgetTest, ARuntimeThatThereIsNoRoomForIsSaid) {
  GoScript empty(clock_, 0, "empty", "empty");
  std::vector<std::unique_ptr<HolderScript>> holders;
  std::vector<RuntimeSource*> sources = {&empty};
  for (size_t i = 0; i <= events::kMostRuntimes; ++i) {
    const std::string name = "r" + std::to_string(i);
    holders.push_back(std::make_unique<HolderScript>(clock_, 0, name, name));
    sources.push_back(holders.back().get());
  }
  GoOpener processes(sources);
  std::vector<std::string> holding, others;
  Sampler sampler(kernel_, processes, symbols_, clock_, {}, [&](events::Event event) {
    if (const auto* pages = std::get_if<events::RuntimePages>(&event.payload))
      (pages->holds() ? holding : others).push_back(pages->runtime);
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) told_ = hooks->sentences();
  });
  ASSERT_TRUE(sampler.add(10));
  sampler.run_due();
  EXPECT_THAT(holding, ElementsAre("r0", "r1", "r2", "r3", "r4", "r5", "r6"));
  EXPECT_THAT(others, ElementsAre("empty", "r7"));
  clock_.set(begin_ + 10 * kSecond);
  sampler.run_due();
  EXPECT_EQ(others.size(), 4u) << "with each scan";
  EXPECT_THAT(told_, ElementsAre("pid 10: Its pages of r7 are not reported: 7 other runtimes hold pages."));
}

// Two runtimes of one process: each is paid for by itself, and told by its name.
TEST_F(GoBudgetTest, EachRuntimeHasABudgetOfItsOwn) {
  GoScript go(clock_, 20 * kMs), toy(clock_, 300 * kMs, "toy", "toy");
  GoOpener processes({&go, &toy});
  std::vector<std::string> told;
  Sampler sampler(kernel_, processes, symbols_, clock_, {}, [&](events::Event event) {
    const uint64_t second = (event.time - begin_) / kSecond;
    if (std::holds_alternative<events::PageScan>(event.payload)) scans_.push_back(second);
    if (const auto* pages = std::get_if<events::RuntimePages>(&event.payload)) told.push_back(pages->runtime);
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) told_ = hooks->sentences();
  });
  ASSERT_TRUE(sampler.add(10));
  while (sampler.next_due() <= begin_ + 60 * kSecond) {
    clock_.set(std::max(clock_.now(), sampler.next_due()));
    sampler.run_due();
  }
  EXPECT_THAT(scans_, ElementsAre(0, 10, 20, 40));
  EXPECT_THAT(told, ElementsAre("go", "toy", "go", "toy", "go", "toy", "go", "toy"));
  EXPECT_THAT(
      told_,
      ElementsAre("The pages of pid 10 are scanned less often than every 10 s: reading its toy heap so "
                  "often would take more than 1 % of a CPU."));
  const std::vector<TargetCost> costs = sampler.costs();
  ASSERT_EQ(costs.size(), 1u);
  ASSERT_EQ(costs[0].runtimes.size(), 2u);
  EXPECT_EQ(costs[0].runtimes[0].cpu_ns, 4 * 20 * kMs);
  EXPECT_EQ(costs[0].runtimes[1].runtime, "toy");
  EXPECT_EQ(costs[0].runtimes[1].cpu_ns, 4 * 300 * kMs);
}

// A last reading that lasts longer than there is time ends in time: so the pass that it belongs to is told.
TEST_F(GoBudgetTest, TheLastReadingEndsWhenTheRecordingMust) {
  GoScript go(clock_, 1 * kMs);
  GoOpener processes({&go});
  TimeNs until = kNever;
  SamplerOptions options;
  options.out_of_time = [&] { return clock_.now() >= until; };
  Sampler sampler(kernel_, processes, symbols_, clock_, options, [this](events::Event event) {
    if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) scans_.push_back(scan->scan);
  });
  ASSERT_TRUE(sampler.add(10));
  go.goroutines_ns = 100 * kSecond;
  until = clock_.now() + kSecond;
  sampler.finish();
  EXPECT_THAT(scans_, ElementsAre(1, 2));
  EXPECT_LE(clock_.now(), until + 100 * kMs);
}

// A million goroutines take seconds, and who attaches waits for what the ledger needs alone.
TEST_F(GoBudgetTest, TheFirstDetailsComeAfterTheAttach) {
  GoScript go(clock_, 1 * kMs);
  GoOpener processes({&go});
  Sampler sampler(kernel_, processes, symbols_, clock_, {}, [](events::Event) {});
  ASSERT_TRUE(sampler.add(10));
  EXPECT_EQ(go.order, "ph");
  EXPECT_LE(sampler.next_due(), clock_.now()) << "they come as soon as there is time";
  sampler.run_due();
  EXPECT_EQ(go.order, "phg");
  EXPECT_GT(sampler.next_due(), clock_.now()) << "and once";
  clock_.set(begin_ + 10 * kSecond);
  sampler.run_due();
  EXPECT_EQ(go.order, "phgphg") << "the others belong to their scan";
}

// What the ledger needs comes before what it can do without.
TEST_F(GoBudgetTest, TheLastReadingBeginsWithTheHeap) {
  GoScript go(clock_, 1 * kMs);
  GoOpener processes({&go});
  Sampler sampler(kernel_, processes, symbols_, clock_, {}, [](events::Event) {});
  ASSERT_TRUE(sampler.add(10));
  EXPECT_EQ(std::exchange(go.order, ""), "ph");
  sampler.finish();
  EXPECT_EQ(go.order, "hpg");
}

// Its pages without the Go tables of their moment would be the last ledger, and nearly all of it unclassified.
TEST_F(GoBudgetTest, APassWhoseTargetExitsBeforeItsHeapIsReadIsNotTold) {
  GoScript go(clock_, 1 * kMs);
  GoOpener processes({&go});
  go.on_heap = [&](uint64_t scan) { processes.process().alive = scan != 3; };
  Sampler sampler(kernel_, processes, symbols_, clock_, {}, [this](events::Event event) {
    if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) scans_.push_back(scan->scan);
    if (const auto* heap = std::get_if<events::RuntimePages>(&event.payload)) readings_.push_back(heap->scan);
  });
  ASSERT_TRUE(sampler.add(10));
  while (sampler.next_due() <= begin_ + 60 * kSecond) {
    clock_.set(std::max(clock_.now(), sampler.next_due()));
    sampler.run_due();
  }
  EXPECT_THAT(scans_, ElementsAre(1, 2));
  EXPECT_THAT(readings_, ElementsAre(1, 2));
  EXPECT_EQ(sampler.targets(), 0U);
}

}  // namespace
}  // namespace memwhy::record
