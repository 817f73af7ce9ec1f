// SPDX-License-Identifier: Apache-2.0
// When memory cgroups are read: once for all who are in one, with each scan, and when one of them is killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/sampler.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::record {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CgroupsTest : public testing::Test {
 protected:
  void make(const std::string& asked_for) {
    SamplerOptions options;
    options.cgroup = asked_for;
    sampler_ =
        std::make_unique<Sampler>(kernel_, processes_, symbols_, clock_, options,
                                  [this](events::Event event) { events_.push_back(std::move(event)); });
  }
  void add(Pid pid, const std::string& cgroup) {
    processes_[pid].cgroup = cgroup;
    ASSERT_TRUE(sampler_->add(pid));
  }
  // The cgroups that were told until then.
  std::vector<std::string> told_until(TimeNs until) {
    events_.clear();
    while (sampler_->next_due() <= begin_ + until) {
      clock_.set(std::max(clock_.now(), sampler_->next_due()));
      sampler_->run_due();
    }
    clock_.set(begin_ + until);
    return told();
  }
  std::vector<std::string> told() const {
    std::vector<std::string> paths;
    for (const events::Event& event : events_)
      if (const auto* cgroup = std::get_if<events::CgroupMemory>(&event.payload))
        paths.push_back(cgroup->path);
    return paths;
  }

  ManualClock clock_;
  TimeNs begin_ = clock_.now();
  ScriptedKernel kernel_{clock_};
  ScriptedProcesses processes_;
  ScriptedSymbols symbols_;
  std::vector<events::Event> events_;
  std::unique_ptr<Sampler> sampler_;
};

TEST_F(CgroupsTest, OnceForAllThatAreInIt) {
  make("");
  add(10, "/pod/web");
  clock_.advance(200 * kMs);
  add(11, "/pod/web");
  add(12, "/pod/other");
  // The scan of 11 came more than 0.1 s after that of 10.
  EXPECT_THAT(told(), ElementsAre("/pod/web", "/pod/web", "/pod/other"));
  // Three ticks each; the last of 11 and 12 is later.
  EXPECT_THAT(told_until(3 * kSecond),
              ElementsAre("/pod/web", "/pod/other", "/pod/web", "/pod/other", "/pod/web"));
}

TEST_F(CgroupsTest, BeforeTheScanThatItGoesWith) {
  make("");
  add(10, "/web");
  EXPECT_EQ(word(events_.back()), "scan 1");
  EXPECT_THAT(told(), ElementsAre("/web"));
}

TEST_F(CgroupsTest, TheOneThatWasAskedForToo) {
  make("/pod");
  add(10, "/pod/web");
  EXPECT_THAT(told(), ElementsAre("/pod/web", "/pod"));
}

TEST_F(CgroupsTest, AProcessThatMoves) {
  make("");
  add(10, "/a");
  processes_[10].cgroup = "/b";
  EXPECT_THAT(told_until(1 * kSecond), ElementsAre("/b"));
  const auto moved = std::find_if(events_.begin(), events_.end(), [](const events::Event& event) {
    return std::holds_alternative<events::SpaceStart>(event.payload);
  });
  ASSERT_NE(moved, events_.end());
  const auto& start = std::get<events::SpaceStart>(moved->payload);
  EXPECT_EQ(start.cgroup, "/b");
  EXPECT_EQ(start.space, SpaceId{1});
  EXPECT_EQ(start.exe_binary, BinaryId{7});  // nothing else is forgotten
  EXPECT_EQ(start.comm, "target");
}

TEST_F(CgroupsTest, AtOnceWhenOneIsKilled) {
  make("");
  add(10, "/web");
  events_.clear();
  sampler_->handle({clock_.now(), events::OomVictim{SpaceId{1}, 10}});
  EXPECT_THAT(told(), ElementsAre("/web"));
}

TEST_F(CgroupsTest, NoneWhereThePathIsUnknown) {
  make("");
  add(10, "");
  EXPECT_THAT(told_until(5 * kSecond), IsEmpty());
}

}  // namespace
}  // namespace memwhy::record
