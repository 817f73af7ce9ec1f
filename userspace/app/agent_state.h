// SPDX-License-Identifier: Apache-2.0
// What the agent knows of itself, as figures: for /metrics, `memwhy agent status` and `top` (agent_texts.h). Values alone.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/budget.h"
#include "agent/recorder.h"
#include "agent/selection.h"
#include "agent/store.h"
#include "agent/trigger.h"
#include "app/agent_answer.h"
#include "app/agent_settings.h"

namespace memwhy::app {

struct TriggerCounts {
  uint64_t fired = 0, cool_down = 0, cap = 0, no_ring = 0;
};

// A unit's last explanation, and when it was made.
struct Explained {
  UnitAnswer answer;
  TimeNs at = 0;
};

struct AgentState {
  AgentSettings settings;
  std::string host;
  double cpus = 1;
  TimeNs started = 0, now = 0;

  size_t processes = 0, recorded_processes = 0;
  std::map<std::string, agent::UnitFigures> units;      // of the last pass
  std::map<std::string, agent::RecordedUnit> recorded;  // with a ring
  std::map<std::string, Explained> explained;
  agent::RecorderTotals totals;
  uint64_t passes = 0;

  std::array<TriggerCounts, agent::kTriggers> triggers{};
  std::map<std::pair<std::string, agent::Trigger>, uint64_t> closed;  // recordings, by unit and trigger
  std::map<std::string, uint64_t> oom_kills;
  uint64_t closings_failed = 0, recordings_removed = 0;
  std::vector<agent::StoredRecording> recordings;

  agent::Level level = agent::Level::kNothing;
  size_t wanted = 0, most = 0;  // processes that would be recorded, and that may be
  TimeNs pause_ends = 0;        // of Level::kDetached
  std::array<uint64_t, agent::kLevels> level_ns{};
  double cpu_ratio = 0, cpu_ratio_now = 0;  // of all CPUs: over the last minute, the last second
  uint64_t cpu_ns = 0, children_ns = 0, rss_bytes = 0;
};

}  // namespace memwhy::app
