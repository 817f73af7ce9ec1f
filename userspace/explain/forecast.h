// SPDX-License-Identifier: Apache-2.0
// Forecast: when what rises has used up its room, if it goes on as it did. For the rule near-limit, and for who watches a limit
// while it comes nearer (agent/cgroup_watch.h).
//
//   held 300 MiB of 512, +0.3 MiB/s, by quarters of the rise +0.2 to +0.45
//     → "in about 12 min (8 to 18)": the room by the rate, by the fastest and by the slowest quarter
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "explain/growth.h"

namespace memwhy::explain {

constexpr double kLeastRise = 1.0 / 64;  // of a limit: less may be noise of a small container

struct Forecast {
  double bytes_per_s = 0;
  double seconds = 0, earliest_s = 0;
  std::optional<double> latest_s;  // absent: one part of the time did not rise at all
};

// nullopt: it does not rise, or not for long.
std::optional<Forecast> forecast(const std::vector<TrendPoint>& points, const Trend& trend, uint64_t room);

// "in about 12 min (8 min to 18 min)"
std::string when_text(const Forecast& forecast);

}  // namespace memwhy::explain
