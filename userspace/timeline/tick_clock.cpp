// SPDX-License-Identifier: Apache-2.0
#include "timeline/tick_clock.h"

#include <cmath>

#include "base/whole.h"

namespace memwhy::timeline {
namespace {

constexpr TimeNs kRateNeeds = 500'000'000;
constexpr double kUsualNs[] = {1e6, 1e9 / 300, 4e6, 1e7};  // CONFIG_HZ 1000, 300, 250, 100

// base + delta * scale, held within the range of the result type.
uint64_t offset_by(uint64_t base, double delta) {
  const double value = static_cast<double>(base) + delta;
  if (!(value > 0)) return 0;
  if (value >= 9e18) return uint64_t{9'000'000'000'000'000'000};
  return delta < 0 ? base - static_cast<uint64_t>(-delta) : base + static_cast<uint64_t>(delta);
}

double signed_difference(uint64_t a, uint64_t b) {
  return a >= b ? static_cast<double>(a - b) : -static_cast<double>(b - a);
}

}  // namespace

void TickClock::add(const events::ClockAnchor& anchor) {
  tick_ = anchor.tick;
  time_ = anchor.monotonic_ns;
  if (!first_ || anchor.monotonic_ns < first_->monotonic_ns || anchor.tick < first_->tick) {
    first_ = anchor;
    return;
  }
  const uint64_t elapsed = anchor.monotonic_ns - first_->monotonic_ns, ticks = anchor.tick - first_->tick;
  if (elapsed < kRateNeeds || ticks == 0) return;
  ns_per_tick_ = static_cast<double>(elapsed) / static_cast<double>(ticks);
  for (const double usual : kUsualNs) {
    if (std::abs(ns_per_tick_ / usual - 1) < 0.05) ns_per_tick_ = usual;
  }
}

TimeNs TickClock::to_ns(uint64_t tick) const {
  return offset_by(time_, signed_difference(tick, tick_) * ns_per_tick_);
}

// The tick that is running at `time`: rounded down, also before the anchor.
uint64_t TickClock::to_tick(TimeNs time) const {
  return offset_by(tick_, std::floor(signed_difference(time, time_) / ns_per_tick_));
}

uint64_t TickClock::ticks(TimeNs duration) const {
  return whole(static_cast<double>(duration) / ns_per_tick_);
}

}  // namespace memwhy::timeline
