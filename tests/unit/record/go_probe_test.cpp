// SPDX-License-Identifier: Apache-2.0
// The Go runtime of a target is probed once, after its tables were read; the report follows what came of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/sampler.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class GoScript : public ScriptedRuntime {
 public:
  std::optional<events::RuntimeProbes> probe_plan(ProbeWishes wishes) override {
    if (asked_++ > 0) return std::nullopt;
    events::GoProbePlan plan;
    if (wishes.allowed) plan.sites.resize(2);
    plan.not_probed = {wishes.allowed ? "One is not." : "Nothing is."};
    return plan;
  }

 private:
  int asked_ = 0;
};

class GoProcess : public ScriptedSource {
 public:
  using ScriptedSource::ScriptedSource;
  std::vector<RuntimeSource*> runtimes(const std::vector<events::Vma>&) override { return {&go_}; }

 private:
  GoScript go_;
};

class GoProcesses : public ProcessOpener {
 public:
  GoProcesses() {
    process_->vmas.push_back({});
    process_->vmas[0].range = {0x1000000, 0x9000000};
  }
  Result<std::unique_ptr<ProcessSource>> open(Pid tgid) override {
    return std::unique_ptr<ProcessSource>(std::make_unique<GoProcess>(all_, process_, tgid));
  }

 private:
  ScriptedProcesses all_;
  std::shared_ptr<ScriptedProcess> process_ = std::make_shared<ScriptedProcess>();
};

class ProbingKernel : public ScriptedKernel {
 public:
  using ScriptedKernel::ScriptedKernel;
  void probe_runtime(SpaceId space, events::RuntimeProbes probes) override {
    const auto& plan = std::get<events::GoProbePlan>(probes);
    probed.push_back({space, plan.sites.size()});
    not_seen.insert(not_seen.end(), plan.not_probed.begin(), plan.not_probed.end());
  }
  bool govern() override {
    ++governed;
    if (governed != give_up_at) return false;
    not_seen.emplace_back("Given up.");
    return true;
  }
  events::HookReport hooks() const override { return {{}, "direct", not_seen}; }

  std::vector<std::pair<SpaceId, size_t>> probed;
  std::vector<std::string> not_seen;
  int governed = 0, give_up_at = 0;
};

class GoProbeTest : public testing::Test {
 protected:
  void record(SamplerOptions options, TimeNs duration) {
    Sampler sampler(kernel_, processes_, symbols_, clock_, options, [this](events::Event event) {
      if (const auto* hooks = std::get_if<events::HookReport>(&event.payload))
        told_.push_back(hooks->sentences());
      words_.push_back(word(event));
    });
    ASSERT_TRUE(sampler.add(10));
    const TimeNs end = clock_.now() + duration;
    while (sampler.next_due() <= end) {
      clock_.set(std::max(clock_.now(), sampler.next_due()));
      sampler.run_due();
    }
  }

  ManualClock clock_;
  ProbingKernel kernel_{clock_};
  GoProcesses processes_;
  ScriptedSymbols symbols_;
  std::vector<std::vector<std::string>> told_;
  std::vector<std::string> words_;
};

TEST_F(GoProbeTest, OnceAfterTheFirstScan) {
  record({}, 30 * kSecond);
  EXPECT_THAT(kernel_.probed, ElementsAre(std::pair{SpaceId{1}, size_t{2}}));
  EXPECT_THAT(told_.back(), ElementsAre("One is not."));
  const auto scan = std::find(words_.begin(), words_.end(), "scan 1");
  EXPECT_EQ(std::count(scan, words_.end(), "hooks"), 1);
}

TEST_F(GoProbeTest, NotWhenToldSo) {
  SamplerOptions options;
  options.probes.allowed = false;
  record(options, 5 * kSecond);
  EXPECT_THAT(kernel_.probed, ElementsAre(std::pair{SpaceId{1}, size_t{0}}));
  EXPECT_THAT(told_.back(), ElementsAre("Nothing is."));
}

TEST_F(GoProbeTest, TheBudgetIsLookedAtEachSecondAndToldWhenItIsSpent) {
  kernel_.give_up_at = 3;
  record({}, 10 * kSecond);
  EXPECT_GE(kernel_.governed, 10);
  EXPECT_THAT(told_.back(), ElementsAre("One is not.", "Given up."));
}

}  // namespace
}  // namespace memwhy::record
