// SPDX-License-Identifier: Apache-2.0
// TickClock: kernel ticks (jiffies) to CLOCK_MONOTONIC and back, by the recording's anchors. Until two
// anchors are far enough apart to give the rate, a tick counts as 4 ms (250 Hz); without any anchor, tick 0
// is time 0.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ids.h"
#include "events/recording.h"

namespace memwhy::timeline {

class TickClock {
 public:
  void add(const events::ClockAnchor& anchor);
  TimeNs to_ns(uint64_t tick) const;
  uint64_t to_tick(TimeNs time) const;
  uint64_t ticks(TimeNs duration) const;

 private:
  std::optional<events::ClockAnchor> first_;
  uint64_t tick_ = 0;  // of the last anchor
  TimeNs time_ = 0;
  double ns_per_tick_ = 4e6;
};

}  // namespace memwhy::timeline
