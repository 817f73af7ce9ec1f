// SPDX-License-Identifier: Apache-2.0
// CgroupTrack: the counters of one memory cgroup over time. SpaceStart::cgroup has the cgroup of each process.
//
//   usage at 1 Hz   t=1.0 300 MiB   t=2.0 304 MiB ...   thinned like RSS; the first and the last whole
#pragma once

#include <optional>
#include <vector>

#include "events/event.h"
#include "timeline/curve.h"

namespace memwhy::timeline {

struct CgroupPoint {
  TimeNs time = 0;
  uint64_t usage_bytes = 0;
  uint64_t held_bytes = 0;  // without page cache that can be reclaimed
};

class CgroupTrack {
 public:
  void on(const events::CgroupMemory& memory, TimeNs time) {
    curve_.add({time, memory.usage_bytes, memory.held_bytes()});
    if (!first_) first_ = memory;
    last_ = memory;
    last_time_ = time;
  }

  void restart() {  // the last becomes the first
    curve_.restart();
    first_ = last_;
  }

  // Precondition: on() was called.
  const events::CgroupMemory& first() const { return *first_; }
  const events::CgroupMemory& last() const { return *last_; }
  TimeNs last_time() const { return last_time_; }
  std::vector<CgroupPoint> curve() const { return curve_.points(); }

 private:
  Curve<CgroupPoint, 1024> curve_;
  std::optional<events::CgroupMemory> first_, last_;
  TimeNs last_time_ = 0;
};

}  // namespace memwhy::timeline
