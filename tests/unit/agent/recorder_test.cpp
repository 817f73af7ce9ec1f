// SPDX-License-Identifier: Apache-2.0
// Which ring has which event, what a ring needs to stand alone, and what fires.
#include "agent/recorder.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <random>
#include <set>

#include "agent/join.h"
#include "support/event_script.h"
#include "unit/trace/samples.h"

namespace memwhy::agent {
namespace {

using trace::test::TemporaryDirectory;

struct Ids : events::EventSink {
  std::set<StackId> stacks;
  std::set<uint64_t> symbols;
  std::set<SpaceId> spaces, scans;
  size_t reports = 0, cgroups = 0;
  TimeNs from = 0;
  std::vector<std::string> notices;  // of the last report
  void on_event(const events::Event& event) override {
    if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks.insert(stack->id);
    if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload)) symbols.insert(symbol->address);
    if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) spaces.insert(start->space);
    if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) scans.insert(scan->space);
    if (const auto* hooks = std::get_if<events::HookReport>(&event.payload)) {
      ++reports;
      notices = hooks->notices;
    }
    if (std::holds_alternative<events::CgroupMemory>(event.payload)) ++cgroups;
  }
};

class RecorderTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  Recorder recorder_{directory_ / "", {}};

  void play(const std::string& script) {
    for (const events::Event& event : memwhy::testing::parse_script(script)) recorder_.on_event(event);
  }
  Ids ring(const std::string& unit) {
    Ids ids;
    const Result<Joined> joined = join(recorder_.hold(unit), "test", ids);
    EXPECT_TRUE(joined.ok());
    ids.from = joined.ok() ? joined->first : 0;
    recorder_.release(unit);
    return ids;
  }
  std::vector<std::string> fired() {
    std::vector<std::string> out;
    for (const Firing& each : recorder_.take_firings())
      out.push_back(std::string(word(each.trigger)) + " " + each.unit);
    return out;
  }
};

TEST_F(RecorderTest, EachRingHasItsOwnAndWhatItNeeds) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  ASSERT_TRUE(recorder_.expect(20, "db").ok());
  play(R"(@1 info host=node7
hooks page_fault_user:tp_btf
@1.1 attach 1 pid=10 comm=web
@1.1 attach 3 pid=30 comm=nobody
@1.2 binary b1 /bin/x
symbol 1 0x1000 binary=b1 serve@x.c:1
stack s1 1 0x1000
@1.3 scan 1: 100+1
@1.4 attach 2 pid=20 comm=db
@1.5 scan 2: 100+1
@1.6 table 2: 100+1 s1 @1.5
@1.7 scan 3: 100+1
@1.8 hooks page_fault_user:raw_tp
)");
  const Ids web = ring("web"), db = ring("db");
  EXPECT_EQ(web.spaces, std::set<SpaceId>{SpaceId{1}});
  EXPECT_EQ(web.scans, std::set<SpaceId>{SpaceId{1}});
  EXPECT_EQ(db.scans, std::set<SpaceId>{SpaceId{2}});
  // The stack was defined once, for the other's space.
  EXPECT_EQ(db.stacks, std::set<StackId>{StackId{1}});
  EXPECT_EQ(db.symbols, std::set<uint64_t>{0x1000});
  EXPECT_EQ(web.stacks, std::set<StackId>{StackId{1}});
  // What was before a unit was met is no part of its recording.
  EXPECT_EQ(web.from, 1'100'000'000u);
  EXPECT_EQ(db.from, 1'400'000'000u);
  EXPECT_EQ(db.reports, 2u);  // the one before it began, and the one after
  EXPECT_GT(recorder_.totals().no_ring, 0u);
  EXPECT_EQ(recorder_.units().at("web").spaces, 1u);
}

TEST_F(RecorderTest, ASpaceThatEndsLeavesItsRingUntilNobodyNeedsIt) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  play("@1 info\n@1.1 attach 1 pid=10\n@1.2 exec 2 from 1 pid=10\n@1.3 space-end 1 execed\n");
  EXPECT_EQ(recorder_.units().at("web").spaces, 1u);
  EXPECT_FALSE(recorder_.drop("web"));
  play("@2 space-end 2 exited\n");
  EXPECT_FALSE(recorder_.hold("web").empty());
  EXPECT_FALSE(recorder_.drop("web"));  // held
  recorder_.release("web");
  EXPECT_TRUE(recorder_.drop("web"));
  EXPECT_TRUE(recorder_.units().empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / ""));
}

TEST_F(RecorderTest, ASurpriseFiresAndAnOrderlyEndDoesNot) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  ASSERT_TRUE(recorder_.expect(11, "web").ok());
  ASSERT_TRUE(recorder_.expect(12, "web").ok());
  ASSERT_TRUE(recorder_.expect(13, "web").ok());
  play("@1 info\n@1.1 attach 1 pid=10\nattach 2 pid=11\nattach 3 pid=12\nattach 4 pid=13\n");
  play("@2 exit 1 pid=10 code=15\n");
  EXPECT_EQ(fired(), std::vector<std::string>{});
  play("@3 exit 2 pid=11 code=139\n");  // SIGSEGV, with a core
  EXPECT_EQ(fired(), std::vector<std::string>{"signal web"});
  play("@4 oom 3 pid=12\n@4.1 exit 3 pid=12 code=9\n");
  EXPECT_EQ(fired(), std::vector<std::string>{"oom-kill web"});
  EXPECT_EQ(recorder_.units().at("web").oom_kills, 1u);
  play("@5 exit 4 pid=13 code=9\n");  // killed, by whomever
  EXPECT_EQ(fired(), std::vector<std::string>{"signal web"});
}

TEST_F(RecorderTest, ACgroupThatHitsItsLimitFiresForThoseInIt) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  ASSERT_TRUE(recorder_.expect(20, "db").ok());
  play("@1 info\n@1.1 attach 1 pid=10 cgroup=/pod/web\nattach 2 pid=20 cgroup=/podx\n");
  play("@2 cgroup /pod v2 usage=90M limit=100M max_events=3 high_events=1\n");
  EXPECT_EQ(fired(), std::vector<std::string>{});  // before anybody looked
  play("@3 cgroup /pod v2 usage=91M limit=100M max_events=3 high_events=1\n");
  EXPECT_EQ(fired(), std::vector<std::string>{});
  play("@4 cgroup /pod v2 usage=99M limit=100M max_events=4 high_events=1\n");
  EXPECT_EQ(fired(), std::vector<std::string>{"cgroup-max web"});
  play("@5 cgroup /pod v2 usage=99M limit=100M max_events=4 high_events=2\n");
  EXPECT_EQ(fired(), std::vector<std::string>{"cgroup-high web"});
  EXPECT_EQ(recorder_.units().at("web").cgroup_usage_bytes, 99u << 20);
  EXPECT_FALSE(recorder_.units().at("db").cgroup_usage_bytes);
  EXPECT_EQ(ring("web").cgroups, 4u);
}

TEST_F(RecorderTest, AGapIsInEveryRingThatReachesBackToIt) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  play("@1 info\nhooks page_fault_user:tp_btf\n@1.1 attach 1 pid=10\n@1.2 scan 1: 100+1\n");
  for (int i = 0; i < 40; ++i)
    recorder_.note(2'000'000'000 + static_cast<TimeNs>(i), "gap " + std::to_string(i));
  EXPECT_EQ(ring("web").notices.size(), 32u);
  EXPECT_EQ(ring("web").notices.back(), "gap 39");
  // One that begins later, but within the time that a ring keeps; the session's own report does not end them.
  ASSERT_TRUE(recorder_.expect(20, "db").ok());
  play("@3 hooks page_fault_user:raw_tp\n@3 attach 2 pid=20\n@3.1 scan 2: 100+1\n");
  EXPECT_EQ(ring("db").notices.back(), "gap 39");
  ASSERT_TRUE(recorder_.expect(30, "late").ok());
  play("@2000 hooks page_fault_user:tp_btf\n@2000 attach 3 pid=30\n@2001 scan 3: 100+1\n");
  EXPECT_EQ(ring("late").notices, std::vector<std::string>{});
}

TEST_F(RecorderTest, AProcessThatIsRecordedNoMoreIsNotExpected) {
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  ASSERT_TRUE(recorder_.expect(11, "web").ok());
  play("@1 info\n@1.1 attach 1 pid=10\n@1.2 attach 2 pid=11\n@2 space-end 1 exited\n");
  recorder_.forget(11);
  play("@3 space-end 2 detached\n@4 attach 3 pid=10\n@4 attach 4 pid=11\n");
  EXPECT_EQ(recorder_.units().at("web").spaces, 0u);
}

// A ring has room for the definitions of 25,000 such stacks or so in memory; of parts that are gone it keeps none.
TEST_F(RecorderTest, WhatARingHadToForgetItIsGivenAgain) {
  recorder_.change({1u << 20, 900'000'000'000}, {});
  ASSERT_TRUE(recorder_.expect(10, "web").ok());
  play("@1 info\n@1.1 attach 1 pid=10\n");
  TimeNs now = 2'000'000'000;
  const auto use = [&](uint32_t id, bool defined) {
    events::Stack stack;
    stack.id = StackId{id};
    stack.space = SpaceId{1};
    std::mt19937 random(id);
    for (int i = 0; i < 30; ++i) stack.frames.push_back(random());
    now += 1'000'000;
    if (!defined) recorder_.on_event({now, stack});
    recorder_.on_event({now, events::HeapGrown{SpaceId{1}, 1, {}, StackId{id}, 0}});
    if (id % 100 == 0) recorder_.tick(now);
  };
  for (uint32_t id = 1; id <= 50'000; ++id) use(id, false);
  EXPECT_FALSE(ring("web").stacks.contains(StackId{1}));
  use(1, true);
  EXPECT_TRUE(ring("web").stacks.contains(StackId{1}));
}

}  // namespace
}  // namespace memwhy::agent
