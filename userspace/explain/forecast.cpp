// SPDX-License-Identifier: Apache-2.0
#include "explain/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr size_t kQuarters = 4;

double value_at(const std::vector<TrendPoint>& points, double time) {
  const auto after = std::find_if(points.begin(), points.end(), [&](const TrendPoint& point) {
    return static_cast<double>(point.time) >= time;
  });
  if (after == points.begin()) return static_cast<double>(points.front().value);
  if (after == points.end()) return static_cast<double>(points.back().value);
  const TrendPoint &a = *(after - 1), &b = *after;
  const double t0 = static_cast<double>(a.time), t1 = static_cast<double>(b.time);
  const double v0 = static_cast<double>(a.value), v1 = static_cast<double>(b.value);
  return v0 + (v1 - v0) * (time - t0) / (t1 - t0);
}

}  // namespace

std::optional<Forecast> forecast(const std::vector<TrendPoint>& points, const Trend& trend, uint64_t room) {
  if (!trend.lasting() || !trend.bytes_per_s || *trend.bytes_per_s <= 0) return std::nullopt;
  const double end = static_cast<double>(points.back().time), span = trend.shown_seconds * 1e9;
  double slowest = std::numeric_limits<double>::max(), fastest = 0;
  for (size_t part = 0; part < kQuarters; ++part) {
    const double from = end - span + span * static_cast<double>(part) / kQuarters;
    const double rate = (value_at(points, from + span / kQuarters) - value_at(points, from)) /
                        (trend.shown_seconds / kQuarters);
    slowest = std::min(slowest, rate);
    fastest = std::max(fastest, rate);
  }
  const double left = static_cast<double>(room), rate = *trend.bytes_per_s;
  Forecast out{rate, left / rate, left / std::max(fastest, rate), std::nullopt};
  if (slowest > 0) out.latest_s = left / std::min(slowest, rate);
  return out;
}

std::string when_text(const Forecast& forecast) {
  return fmt::format("in about {} ({})", human_seconds(forecast.seconds),
                     forecast.latest_s ? fmt::format("{} to {}", human_seconds(forecast.earliest_s),
                                                     human_seconds(*forecast.latest_s))
                                       : fmt::format("at least {}", human_seconds(forecast.earliest_s)));
}

}  // namespace memwhy::explain
