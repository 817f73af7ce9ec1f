// SPDX-License-Identifier: Apache-2.0
#include "timeline/wall_clock.h"

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace memwhy::timeline {
namespace {

constexpr uint64_t kStep = kNsPerSecond;  // less is a clock that is corrected slowly

int64_t lead(const events::ClockAnchor& anchor) {
  return static_cast<int64_t>(anchor.realtime_ns - anchor.monotonic_ns);
}

bool same_era(const events::ClockAnchor& a, const events::ClockAnchor& b) {
  const uint64_t apart =
      static_cast<uint64_t>(std::max(lead(a), lead(b))) - static_cast<uint64_t>(std::min(lead(a), lead(b)));
  return apart < kStep;
}

}  // namespace

void WallClock::add(const events::ClockAnchor& anchor) {
  if (eras_.empty() || (!same_era(eras_.back().last, anchor) && eras_.size() < kMostEras))
    eras_.push_back({anchor, anchor});
  eras_.back().last = anchor;
}

// Unsigned arithmetic wraps as it should.
std::optional<uint64_t> WallClock::converted(uint64_t time, uint64_t events::ClockAnchor::*clock) const {
  if (eras_.empty()) return std::nullopt;
  const auto era =
      std::find_if(eras_.rbegin(), eras_.rend(), [&](const Era& each) { return each.first.*clock <= time; });
  const events::ClockAnchor& anchor = era == eras_.rend() ? eras_.front().last : era->last;
  return anchor.realtime_ns + time - anchor.*clock;
}

std::optional<uint64_t> WallClock::realtime_ns(TimeNs monotonic_ns) const {
  return converted(monotonic_ns, &events::ClockAnchor::monotonic_ns);
}

std::optional<uint64_t> WallClock::realtime_ns_of_boottime(uint64_t boottime_ns) const {
  return converted(boottime_ns, &events::ClockAnchor::boottime_ns);
}

std::optional<events::ClockAnchor> WallClock::last() const {
  return eras_.empty() ? std::nullopt : std::optional(eras_.back().last);
}

}  // namespace memwhy::timeline
