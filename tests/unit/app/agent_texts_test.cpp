// SPDX-License-Identifier: Apache-2.0
#include "app/agent_texts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace memwhy::app {
namespace {

AgentState state() {
  AgentState state;
  state.host = "node7";
  state.cpus = 4;
  state.now = 1'000'000'000'000;
  state.started = state.now - 120'000'000'000;
  state.processes = 1023;
  state.units["web.service"] = {300 << 20, 200 << 20, 4, 50 << 20, false, false, 0};
  state.units["small"] = {2 << 20, 1 << 20, 1, std::nullopt, false, false, 0};
  state.units["tiny"] = {1 << 20, 1 << 20, 1, std::nullopt, false, false, 0};
  state.recorded["web.service"] = {4, 5 << 20, state.now - 60'000'000'000, 90 << 20, std::nullopt, 0};
  UnitAnswer answer;
  answer.owners = {{"go.heap.live", 100}, {"race.shadow", 50}};
  answer.problems = {{"race-detector", "high", 60, 40}};
  answer.gap_bytes = 7;
  state.explained["web.service"] = {answer, state.now - 30'000'000'000};
  state.triggers[static_cast<size_t>(agent::Trigger::kGrowth)] = {3, 1, 0, 0};
  state.closed[{"web.service", agent::Trigger::kGrowth}] = 3;
  state.recordings = {{"node7_web.service_20261129T141500Z_growth.memwhy", 1 << 20, 0}};
  return state;
}

bool has(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

TEST(AgentTextsTest, MetricsHaveTheirValuesAndTheFewLabels) {
  const std::string text = metrics_text(state(), false);
  EXPECT_TRUE(has(text, "memwhy_unit_resident_bytes{unit=\"web.service\"} 314572800")) << text;
  EXPECT_TRUE(has(text, "memwhy_unit_growth_bytes{unit=\"web.service\"} 52428800"));
  EXPECT_EQ(text.find("memwhy_unit_growth_bytes{unit=\"small\"}"), std::string::npos);
  EXPECT_TRUE(has(text, "memwhy_owner_bytes{unit=\"web.service\",owner=\"race.shadow\"} 50"));
  EXPECT_TRUE(
      has(text, "memwhy_finding_bytes{unit=\"web.service\",cause=\"race-detector\",confidence=\"high\"} 60"));
  EXPECT_TRUE(has(text,
                  "memwhy_finding_recoverable_bytes{unit=\"web.service\",cause=\"race-detector\",confidence="
                  "\"high\"} 40"));
  EXPECT_TRUE(has(text, "memwhy_gap_bytes{unit=\"web.service\"} 7"));
  EXPECT_TRUE(has(text, "memwhy_explained_age_seconds{unit=\"web.service\"} 30"));
  EXPECT_TRUE(has(text, "memwhy_triggers_total{trigger=\"growth\"} 3"));
  EXPECT_TRUE(has(text, "memwhy_triggers_suppressed_total{trigger=\"growth\",reason=\"cool-down\"} 1"));
  EXPECT_TRUE(has(text, "memwhy_recordings_closed_total{unit=\"web.service\",trigger=\"growth\"} 3"));
  EXPECT_TRUE(has(text, "memwhy_unit_cgroup_usage_bytes{unit=\"web.service\"} 94371840"));
  EXPECT_EQ(text.find("memwhy_unit_cgroup_limit_bytes{"), std::string::npos);
}

TEST(AgentTextsTest, AUnitThatWasKilledKeepsItsNameAmongManyLargerOnes) {
  AgentState many = state();
  many.settings.max_units = 2;
  many.oom_kills["killed"] = 1;
  const std::string text = metrics_text(many, false);
  EXPECT_TRUE(has(text, "memwhy_oom_kills_total{unit=\"killed\"} 1")) << text;
  EXPECT_TRUE(has(text, "memwhy_unit_resident_bytes{unit=\"web.service\"} 314572800")) << text;
  EXPECT_TRUE(has(text, "memwhy_unit_resident_bytes{unit=\"__other__\"} 3145728")) << text;
}

TEST(AgentTextsTest, SmallUnitsAreFoldedAndNothingIsTwice) {
  AgentState few = state();
  few.settings.max_units = 1;
  const std::string text = metrics_text(few, true);
  EXPECT_TRUE(has(text, "memwhy_unit_resident_bytes{unit=\"__other__\"} 3145728")) << text;
  std::set<std::string> keys;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with('#')) {
      EXPECT_TRUE(keys.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
}

TEST(AgentTextsTest, StatusTopAndRecordings) {
  const std::string status = status_text(state());
  EXPECT_NE(status.find("1,023 processes in 3 units"), std::string::npos) << status;
  EXPECT_NE(status.find("trigger growth: 3 closed, 1 in its cool-down"), std::string::npos) << status;
  const std::string top = top_text(state());
  EXPECT_NE(top.find("       200.0        300.0         50.0         4        60 s  web.service"),
            std::string::npos)
      << top;
  EXPECT_EQ(recordings_text(AgentState()), "no recording yet\n");
  EXPECT_NE(recordings_text(state()).find(
                "1.0 MiB  /var/lib/memwhy/node7_web.service_20261129T141500Z_growth.memwhy"),
            std::string::npos);
}

TEST(UnitAnswerTest, ThereAndBack) {
  UnitAnswer answer;
  answer.seconds = 1.5;
  answer.rss_bytes = 7;
  answer.heap_profile_bytes = 3;
  answer.sentence = "a \"sentence\" \xff";
  answer.owners = {{"go.heap.live", 5}};
  answer.problems = {{"goroutine-leak", "high", 9, 8}};
  answer.damage = {"one"};
  answer.file_bytes = 11;
  const Result<UnitAnswer> back = decode_answer(encode(answer));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->heap_profile_bytes, 3u);
  EXPECT_FALSE(back->gap_bytes);
  EXPECT_EQ(back->owners, answer.owners);
  ASSERT_EQ(back->problems.size(), 1u);
  EXPECT_EQ(back->problems[0].recoverable_bytes, 8u);
  EXPECT_EQ(back->damage, answer.damage);
  for (const char* text : {"", "{}", "[]", "{\"seconds\":\"x\"}", "memwhy: failed"})
    EXPECT_FALSE(decode_answer(text).ok()) << text;
}

}  // namespace
}  // namespace memwhy::app
