// SPDX-License-Identifier: Apache-2.0
// Settings of memwhy agent: one description (options of the command line), given in three layers of which the later wins.
//
//   /etc/memwhy/agent.toml   growth = "128M"       --growth 128M
//   MEMWHY_GROWTH=256M                             --growth 256M
//   memwhy agent --growth 512M                     512 MiB
//
// A list replaces the list of the layer before. What no option knows is refused, with the line.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cgroup_watch.h"
#include "agent/ring.h"
#include "agent/selection.h"
#include "base/result.h"

namespace memwhy::app {

constexpr const char* kAgentFile = "/etc/memwhy/agent.toml";
constexpr const char* kAgentSocket = "/run/memwhy/agent.sock";

// "64M", "10%" of itself, or "64M,10%": both.
struct Growth {
  uint64_t bytes = 64u << 20;
  double share = 0.1;
  bool operator==(const Growth&) const = default;
};
// nullopt: it is none.
std::optional<Growth> parse_growth(std::string_view text);

struct AgentSettings {
  std::string dir = "/var/lib/memwhy";
  std::string listen = "127.0.0.1:9435", socket = kAgentSocket, token_file;
  uint64_t top = 20, min_rss = 16u << 20;
  std::vector<std::string> comms, cgroups;
  Growth growth;
  uint64_t step = 256u << 20;
  double pressure = 0.1;
  std::chrono::nanoseconds window = std::chrono::minutes(5), cool_down = std::chrono::minutes(10),
                           forecast = std::chrono::minutes(30);
  uint64_t per_hour = 6;
  std::chrono::nanoseconds keep = std::chrono::minutes(15);
  uint64_t ring_size = 64u << 20, disk = uint64_t{2} << 30, memory = 256u << 20;
  double budget = 0.005;
  uint64_t max_units = 200;
  bool serve_recordings = false, no_uprobes = false;

  agent::SelectionRules rules() const;
  agent::RingLimits ring() const;
  agent::CgroupRules cgroup_rules() const;
};

// All but where the file is.
void add_agent_options(CLI::App& command, AgentSettings& settings);

// Of `given`, the options of a command line that was parsed: their words, to be parsed again behind the other layers.
std::vector<std::string> given_words(const CLI::App& given);

// `file`: "" where there is none. kUsage, with the line of the file or the name of the variable.
Result<AgentSettings> layered_settings(const std::string& file, const std::vector<std::string>& environment,
                                       const std::vector<std::string>& words);
// The file alone, and that its values are sensible together.
Status check_agent_file(const std::string& file);

}  // namespace memwhy::app
