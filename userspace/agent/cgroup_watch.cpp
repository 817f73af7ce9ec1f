// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "base/time.h"
#include "explain/forecast.h"

namespace memwhy::agent {
namespace {

constexpr size_t kMostCgroups = 4096;
constexpr TimeNs kPointsOfForecast = 60;
constexpr double kFarthest = 6;  // times as far as it was watched: farther nobody can see

}  // namespace

std::optional<double> Waits::at(TimeNs now, uint64_t waited_us) {
  // Another one of that name, which counts from its own beginning.
  if (!points_.empty() && waited_us < points_.back().waited_us) points_.clear();
  while (points_.size() > 1 && points_[1].time + kOver <= now) points_.pop_front();
  points_.push_back({now, waited_us});
  const TimeNs passed = now - points_.front().time;
  if (passed < kOver) return std::nullopt;
  return static_cast<double>(waited_us - points_.front().waited_us) * 1000 / static_cast<double>(passed);
}

std::vector<CgroupWatch::Fired> CgroupWatch::see(TimeNs now, const events::CgroupMemory& memory) {
  if (past_.size() > kMostCgroups) past_.clear();
  const auto [at, first] = past_.try_emplace(memory.path);
  Past& past = at->second;
  const uint64_t high = memory.high_events.value_or(0), max = memory.max_events.value_or(0);
  std::vector<Fired> fired;
  if (!first && high > past.high) fired.push_back({Trigger::kCgroupHigh, "is above its memory.high"});
  if (!first && max > past.max)
    fired.push_back(
        {Trigger::kCgroupMax,
         "hit its limit" + (memory.limit_bytes ? " of " + human_bytes(*memory.limit_bytes) : std::string())});
  past.high = high;
  past.max = max;
  if (memory.waited_some_us && rules_.pressure > 0) {
    const std::optional<double> share = past.waits.at(now, *memory.waited_some_us);
    if (share && *share >= rules_.pressure)
      fired.push_back({Trigger::kPressure, fmt::format("had tasks that waited for memory {:.0f} % of {} s",
                                                       100 * *share, Waits::kOver / kNsPerSecond)});
  }
  if (std::optional<std::string> comes = limit_comes(now, memory, past))
    fired.push_back({Trigger::kForecast, *std::move(comes)});
  return fired;
}

// Judged with each new point alone.
std::optional<std::string> CgroupWatch::limit_comes(TimeNs now, const events::CgroupMemory& memory,
                                                    Past& past) const {
  const uint64_t limit = memory.limit_bytes.value_or(0);
  if (limit == 0 || rules_.forecast == 0) return std::nullopt;
  if (std::exchange(past.limit_bytes, limit) != limit) past.held.clear();
  if (!past.held.empty() && now < past.held.back().time + rules_.window / kPointsOfForecast)
    return std::nullopt;
  while (!past.held.empty() && past.held.front().time + rules_.window < now) past.held.pop_front();
  past.held.push_back({now, memory.held_bytes()});
  const std::vector<explain::TrendPoint> points(past.held.begin(), past.held.end());
  const explain::Trend trend = explain::trend_of(points);
  const uint64_t room = limit - std::min(limit, memory.held_bytes());
  const std::optional<explain::Forecast> reached = explain::forecast(points, trend, room);
  if (!reached || !reached->latest_s ||
      reached->seconds > static_cast<double>(rules_.forecast) / kNsPerSecond ||
      reached->seconds > kFarthest * trend.shown_seconds ||
      static_cast<double>(trend.grown_bytes) < explain::kLeastRise * static_cast<double>(limit))
    return std::nullopt;
  return fmt::format("reaches its limit of {} {} at this rate", human_bytes(limit),
                     explain::when_text(*reached));
}

}  // namespace memwhy::agent
