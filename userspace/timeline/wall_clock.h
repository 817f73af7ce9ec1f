// SPDX-License-Identifier: Apache-2.0
// WallClock: times of a recording as times of the clock on the wall, by the recording's own anchors. A clock that was set, or a
// machine that slept, begins another era; a time is converted by the last anchor of its own.
//
//   anchor at 10 s   12:00:10 \  first era         9 s -> 12:00:09
//   anchor at 70 s   12:01:10 /                   75 s -> 12:01:15
//   anchor at 130 s  13:02:10    set forward     140 s -> 13:02:20
//
// When within the minute before its first anchor an era began is unknown: that minute counts as before. Not ticks: tick_clock.h.
#pragma once

#include <optional>
#include <vector>

#include "events/recording.h"

namespace memwhy::timeline {

class WallClock {
 public:
  WallClock() = default;
  explicit(false) WallClock(const events::ClockAnchor& anchor) { add(anchor); }
  void add(const events::ClockAnchor& anchor);

  explicit operator bool() const { return !eras_.empty(); }
  // Nanoseconds since 1970, of a time on CLOCK_MONOTONIC or on CLOCK_BOOTTIME; nullopt without an anchor.
  std::optional<uint64_t> realtime_ns(TimeNs monotonic_ns) const;
  std::optional<uint64_t> realtime_ns_of_boottime(uint64_t boottime_ns) const;
  std::optional<events::ClockAnchor> last() const;

 private:
  static constexpr size_t kMostEras = 1000;  // of a file that lies; from then on the last one goes on

  struct Era {
    events::ClockAnchor first, last;
  };
  std::optional<uint64_t> converted(uint64_t time, uint64_t events::ClockAnchor::*clock) const;

  std::vector<Era> eras_;
};

}  // namespace memwhy::timeline
