// SPDX-License-Identifier: Apache-2.0
#include "app/agent_texts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "app/units.h"
#include "base/text.h"
#include "base/time.h"

namespace memwhy::app {
namespace {

constexpr size_t kRowsOfTop = 40;
constexpr double kMiB = 1 << 20;

std::chrono::nanoseconds running(const AgentState& state) {
  return std::chrono::nanoseconds(state.now - state.started);
}

uint64_t ring_bytes(const AgentState& state) {
  uint64_t sum = 0;
  for (const auto& [unit, recorded] : state.recorded) sum += recorded.ring_bytes;
  return sum;
}

uint64_t recordings_bytes(const AgentState& state) {
  uint64_t sum = 0;
  for (const agent::StoredRecording& each : state.recordings) sum += each.bytes;
  return sum;
}

std::string mib(double bytes) { return fmt::format("{:.1f}", bytes / kMiB); }

}  // namespace

std::string given_up_text(const AgentState& state) {
  switch (state.level) {
    case agent::Level::kNothing:
      return "nothing is given up";
    case agent::Level::kSparse:
      return "scans are up to 16 times as far apart, and only what grows is attached";
    case agent::Level::kFewer:
      return fmt::format("{} of {} processes are recorded", std::min(state.most, state.wanted), state.wanted);
    case agent::Level::kDetached:
      break;
  }
  const TimeNs left = state.pause_ends > state.now ? state.pause_ends - state.now : 0;
  return fmt::format("no process is recorded for {}", duration_text(std::chrono::nanoseconds(left)));
}

std::string status_text(const AgentState& state) {
  std::string out = fmt::format("memwhy agent {} on {}, pid {}, running for {}\n", MEMWHY_VERSION,
                                escape(state.host), ::getpid(), duration_text(running(state)));
  out += fmt::format("{} processes in {} units; {} of them are recorded, in {} units\n",
                     grouped(state.processes), grouped(state.units.size()), state.recorded_processes,
                     state.recorded.size());
  out += fmt::format("takes {:.3g} % of {:.0f} CPUs, of a budget of {:.3g} %: {}\n", 100 * state.cpu_ratio,
                     state.cpus, 100 * state.settings.budget, given_up_text(state));
  out += fmt::format("takes {} of memory, of {}\n", human_bytes(state.rss_bytes),
                     human_bytes(state.settings.memory));
  out += fmt::format("{}: rings {}, {} recordings {}, of {}\n", escape(state.settings.dir),
                     human_bytes(ring_bytes(state)), state.recordings.size(),
                     human_bytes(recordings_bytes(state)), human_bytes(state.settings.disk));
  for (size_t i = 0; i < agent::kTriggers; ++i) {
    const TriggerCounts& counts = state.triggers[i];
    const uint64_t suppressed = counts.cool_down + counts.cap + counts.no_ring;
    if (counts.fired + suppressed == 0) continue;
    out += fmt::format("trigger {}: {} closed{}\n", agent::word(static_cast<agent::Trigger>(i)), counts.fired,
                       suppressed == 0
                           ? ""
                           : fmt::format(", {} in its cool-down, {} above its cap, {} without a ring",
                                         counts.cool_down, counts.cap, counts.no_ring));
  }
  return out;
}

std::string top_text(const AgentState& state) {
  std::vector<std::pair<std::string, agent::UnitFigures>> units(state.units.begin(), state.units.end());
  std::sort(units.begin(), units.end(),
            [](const auto& a, const auto& b) { return a.second.anon_bytes > b.second.anon_bytes; });
  std::string out = fmt::format("{:>12} {:>12} {:>12} {:>9} {:>11}  unit\n", "anon MiB", "RSS MiB",
                                "+" + duration_text(state.settings.window), "processes", "ring");
  for (size_t i = 0; i < std::min(units.size(), kRowsOfTop); ++i) {
    const auto& [name, figures] = units[i];
    const auto ring = state.recorded.find(name);
    const std::string reach =
        ring == state.recorded.end() || ring->second.from == 0 || ring->second.from > state.now
            ? "-"
            : duration_text(std::chrono::nanoseconds(state.now - ring->second.from));
    out +=
        fmt::format("{:>12} {:>12} {:>12} {:>9} {:>11}  {}\n", mib(static_cast<double>(figures.anon_bytes)),
                    mib(static_cast<double>(figures.rss_bytes)),
                    figures.growth_bytes ? mib(static_cast<double>(*figures.growth_bytes)) : "-",
                    figures.processes, reach, escape(name));
  }
  return out;
}

std::string recordings_text(const AgentState& state) {
  std::string out;
  for (const agent::StoredRecording& each : state.recordings)
    out += fmt::format("{:>10}  {}/{}\n", human_bytes(each.bytes), escape(state.settings.dir),
                       escape(each.name));
  return out.empty() ? "no recording yet\n" : out;
}

}  // namespace memwhy::app
