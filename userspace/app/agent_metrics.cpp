// SPDX-License-Identifier: Apache-2.0
// The families of /metrics, in the order in which they are told.
#include <algorithm>
#include <array>

#include "agent/metrics.h"
#include "app/agent_texts.h"
#include "base/time.h"

namespace memwhy::app {
namespace {

using agent::Exposition;
using UnitLabels = std::map<std::string, std::string>;

constexpr auto kGauge = agent::Kind::kGauge, kCounter = agent::Kind::kCounter;

std::string label_of(const UnitLabels& labels, const std::string& unit) {
  const auto found = labels.find(unit);
  return found == labels.end() ? std::string(agent::kOther) : found->second;
}

// Of units that share a label the sum.
template <typename Map, typename Value>
void by_unit(Exposition& out, const char* name, agent::Kind kind, const char* help, const char* unit,
             const UnitLabels& labels, const Map& map, Value value) {
  std::map<std::string, double> sums;
  for (const auto& [key, each] : map)
    if (const std::optional<double> number = value(each)) sums[label_of(labels, key)] += *number;
  out.family(name, kind, help, unit);
  for (const auto& [label, sum] : sums) out.sample({{"unit", label}}, sum);
}

std::optional<double> as_number(const auto& value) {
  if constexpr (requires { value.has_value(); })
    return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
  else
    return static_cast<double>(value);
}

void tell_units(Exposition& out, const AgentState& state, const UnitLabels& labels) {
  const auto figure = [&](const char* name, const char* help, const char* unit, auto member) {
    by_unit(out, name, kGauge, help, unit, labels, state.units,
            [member](const agent::UnitFigures& each) { return as_number(each.*member); });
  };
  figure("memwhy_unit_resident_bytes", "RSS of the processes of a unit.", "bytes",
         &agent::UnitFigures::rss_bytes);
  figure("memwhy_unit_anonymous_bytes", "Of these, without pages of files and shared memory.", "bytes",
         &agent::UnitFigures::anon_bytes);
  figure("memwhy_unit_growth_bytes", "Growth of the anonymous bytes within the window.", "bytes",
         &agent::UnitFigures::growth_bytes);
  figure("memwhy_unit_processes", "Processes of a unit.", "", &agent::UnitFigures::processes);
  const auto recorded = [&](const char* name, const char* help, auto member) {
    by_unit(out, name, kGauge, help, "bytes", labels, state.recorded,
            [member](const agent::RecordedUnit& each) { return as_number(each.*member); });
  };
  recorded("memwhy_unit_cgroup_usage_bytes", "Usage of the cgroup that limits a recorded unit.",
           &agent::RecordedUnit::cgroup_usage_bytes);
  recorded("memwhy_unit_cgroup_limit_bytes", "Its limit.", &agent::RecordedUnit::cgroup_limit_bytes);
}

void tell_owners(Exposition& out, const AgentState& state, const UnitLabels& labels) {
  std::map<std::pair<std::string, std::string>, double> sums;
  for (const auto& [unit, explained] : state.explained)
    for (const auto& [owner, bytes] : explained.answer.owners)
      sums[{label_of(labels, unit), owner}] += static_cast<double>(bytes);
  out.family("memwhy_owner_bytes", kGauge,
             "Resident bytes of a recorded unit by owner, when it was explained last.", "bytes");
  for (const auto& [key, sum] : sums) out.sample({{"unit", key.first}, {"owner", key.second}}, sum);
}

void tell_problems(Exposition& out, const AgentState& state, const UnitLabels& labels) {
  struct Sum {
    double bytes = 0, recoverable = 0;
  };
  std::map<std::array<std::string, 3>, Sum> sums;
  for (const auto& [unit, explained] : state.explained)
    for (const UnitProblem& problem : explained.answer.problems) {
      Sum& sum = sums[{label_of(labels, unit), problem.cause, problem.confidence}];
      sum.bytes += static_cast<double>(problem.bytes);
      sum.recoverable += static_cast<double>(problem.recoverable_bytes);
    }
  const auto family = [&](const char* name, const char* help, double Sum::*member) {
    out.family(name, kGauge, help, "bytes");
    for (const auto& [key, sum] : sums)
      out.sample({{"unit", key[0]}, {"cause", key[1]}, {"confidence", key[2]}}, sum.*member);
  };
  family("memwhy_finding_bytes", "Bytes of a problem that was found in a unit.", &Sum::bytes);
  family("memwhy_finding_recoverable_bytes", "What its remedy would give back.", &Sum::recoverable);
}

void tell_explanations(Exposition& out, const AgentState& state, const UnitLabels& labels) {
  tell_owners(out, state, labels);
  by_unit(out, "memwhy_heap_profile_bytes", kGauge, "What a heap profile of a unit shows.", "bytes", labels,
          state.explained, [](const Explained& each) { return as_number(each.answer.heap_profile_bytes); });
  by_unit(out, "memwhy_gap_bytes", kGauge, "Resident, and in no heap profile.", "bytes", labels,
          state.explained, [](const Explained& each) { return as_number(each.answer.gap_bytes); });
  tell_problems(out, state, labels);
  std::map<std::string, double> ages;
  for (const auto& [unit, explained] : state.explained) {
    double& age = ages[label_of(labels, unit)];
    age = std::max(age, static_cast<double>(state.now - explained.at) / kNsPerSecond);
  }
  out.family("memwhy_explained_age_seconds", kGauge, "How old the explanation of a unit is.", "seconds");
  for (const auto& [unit, age] : ages) out.sample({{"unit", unit}}, age);
}

void tell_triggers(Exposition& out, const AgentState& state, const UnitLabels& labels) {
  const auto each = [&](auto use) {
    for (size_t i = 0; i < agent::kTriggers; ++i)
      use(std::string(agent::word(static_cast<agent::Trigger>(i))), state.triggers[i]);
  };
  out.family("memwhy_triggers", kCounter, "Triggers that closed a ring.");
  each([&](const std::string& word, const TriggerCounts& counts) {
    out.sample({{"trigger", word}}, static_cast<double>(counts.fired));
  });
  out.family("memwhy_triggers_suppressed", kCounter, "Triggers that did not.");
  each([&](const std::string& word, const TriggerCounts& counts) {
    out.sample({{"trigger", word}, {"reason", "cool-down"}}, static_cast<double>(counts.cool_down));
    out.sample({{"trigger", word}, {"reason", "cap"}}, static_cast<double>(counts.cap));
    out.sample({{"trigger", word}, {"reason", "no-ring"}}, static_cast<double>(counts.no_ring));
  });
  std::map<std::pair<std::string, std::string>, double> closed;
  for (const auto& [key, count] : state.closed)
    closed[{label_of(labels, key.first), std::string(agent::word(key.second))}] += static_cast<double>(count);
  out.family("memwhy_recordings_closed", kCounter, "Recordings of a unit that were kept.");
  for (const auto& [key, count] : closed) out.sample({{"unit", key.first}, {"trigger", key.second}}, count);
  out.one("memwhy_recordings_failed", kCounter, "Recordings that could not be kept.",
          static_cast<double>(state.closings_failed));
  out.one("memwhy_recordings_removed", kCounter, "Recordings that made room for others.",
          static_cast<double>(state.recordings_removed));
  by_unit(out, "memwhy_oom_kills", kCounter,
          "Processes of a recorded unit that the kernel killed for memory.", "", labels, state.oom_kills,
          [](uint64_t count) { return as_number(count); });
}

void tell_disk(Exposition& out, const AgentState& state) {
  uint64_t recordings = 0, rings = 0;
  for (const agent::StoredRecording& each : state.recordings) recordings += each.bytes;
  for (const auto& [unit, recorded] : state.recorded) rings += recorded.ring_bytes;
  const auto gauge = [&](const char* name, const char* help, double value, const char* unit = "") {
    out.one(name, kGauge, help, value, unit);
  };
  gauge("memwhy_recordings", "Recordings in the folder.", static_cast<double>(state.recordings.size()));
  gauge("memwhy_recordings_bytes", "Their size.", static_cast<double>(recordings), "bytes");
  gauge("memwhy_ring_bytes", "Size of all rings.", static_cast<double>(rings), "bytes");
  gauge("memwhy_disk_quota_bytes", "What both may take.", static_cast<double>(state.settings.disk), "bytes");
}

void tell_own(Exposition& out, const AgentState& state) {
  const auto gauge = [&](const char* name, const char* help, double value, const char* unit = "") {
    out.one(name, kGauge, help, value, unit);
  };
  gauge("memwhy_agent_processes", "Processes that were seen.", static_cast<double>(state.processes));
  gauge("memwhy_agent_units", "Units that were seen.", static_cast<double>(state.units.size()));
  gauge("memwhy_agent_recorded_processes", "Processes that are recorded.",
        static_cast<double>(state.recorded_processes));
  out.family("memwhy_agent_cpu_seconds", kCounter,
             "CPU time of the agent, its children, and of the kernel for it.", "seconds");
  const auto seconds = [](uint64_t ns) { return static_cast<double>(ns) / kNsPerSecond; };
  out.sample({{"part", "agent"}}, seconds(state.cpu_ns));
  out.sample({{"part", "children"}}, seconds(state.children_ns));
  out.sample({{"part", "bpf"}}, seconds(state.totals.bpf_ns));
  gauge("memwhy_agent_cpu_ratio", "Of all CPUs, over the last minute.", state.cpu_ratio);
  gauge("memwhy_agent_budget_ratio", "The budget for it.", state.settings.budget);
  gauge("memwhy_agent_degraded",
        "What is given up for the budget: 0 nothing, 1 density, 2 processes, 3 hooks.",
        static_cast<double>(state.level));
  out.family("memwhy_agent_degraded_seconds", kCounter, "For how long, since the agent started.", "seconds");
  constexpr std::array<const char*, agent::kLevels> kGivenUp = {"nothing", "density", "processes", "hooks"};
  for (size_t i = 1; i < agent::kLevels; ++i)
    out.sample({{"given_up", kGivenUp[i]}}, seconds(state.level_ns[i]));
  gauge("memwhy_agent_resident_bytes", "RSS of the agent.", static_cast<double>(state.rss_bytes), "bytes");
  gauge("memwhy_agent_memory_limit_bytes", "What it may have.", static_cast<double>(state.settings.memory),
        "bytes");
  out.one("memwhy_agent_passes", kCounter, "Passes over all processes.", static_cast<double>(state.passes));
  out.one("memwhy_faults", kCounter, "Page faults of recorded processes.",
          static_cast<double>(state.totals.faults));
  out.one("memwhy_lost_events", kCounter, "Events that were lost.", static_cast<double>(state.totals.lost));
}

}  // namespace

std::string metrics_text(const AgentState& state, bool open_metrics) {
  std::map<std::string, uint64_t> bytes;
  for (const auto& [unit, figures] : state.units) bytes[unit] = figures.rss_bytes;
  // Of which more is known than their size come first, those that have ended too: counters do not go backwards.
  constexpr uint64_t kFirst = uint64_t{1} << 62;
  for (const auto& [key, count] : state.closed) bytes[key.first] |= kFirst;
  for (const auto& [unit, count] : state.oom_kills) bytes[unit] |= kFirst;
  for (const auto& [unit, explained] : state.explained) bytes[unit] |= kFirst;
  const UnitLabels labels = agent::fold(bytes, state.settings.max_units);
  Exposition out(open_metrics);
  out.family("memwhy_build_info", kGauge, "Version of the agent.");
  out.sample({{"version", MEMWHY_VERSION}}, 1);
  tell_units(out, state, labels);
  tell_explanations(out, state, labels);
  tell_triggers(out, state, labels);
  tell_disk(out, state);
  tell_own(out, state);
  return out.finish();
}

}  // namespace memwhy::app
