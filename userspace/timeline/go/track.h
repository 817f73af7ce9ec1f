// SPDX-License-Identifier: Apache-2.0
// GoTrack: the reports of one address space's Go runtime over time, besides its pages (runtime_claims.h).
#pragma once

#include <memory>
#include <vector>

#include "events/event.h"
#include "timeline/curve.h"
#include "timeline/go/calls.h"
#include "timeline/go/cycles.h"
#include "timeline/go/moments.h"

namespace memwhy::timeline {

// The Go runtime's counters over time (1 Hz, thinned like RSS).
struct GoPoint {
  TimeNs time = 0;
  events::GoCounters counters;
  std::shared_ptr<const events::GoAllocations> allocations = nullptr;  // nullptr: not read at this time
};

// Collections since the program is watched, and how long they stopped the world.
struct GoPauses {
  uint64_t collections = 0;  // that were seen
  uint64_t missed = 0;  // ended between two polls, and their places in the runtime's ring were taken again
  uint64_t total_ns = 0;
  events::GoPause longest;
  uint32_t last = 0;  // number of the last one
};

// Its goroutines, each time they were read (max 32 kept, the first and the last among them).
struct GoroutinePoint {
  TimeNs time = 0;
  std::shared_ptr<const events::GoGoroutines> all;
};

class GoTrack {
 public:
  void on(const events::GoStatistics& sample, TimeNs time);
  void on(const events::GoReading& reading, TimeNs time);
  void on(const events::GoProfile& profile, TimeNs time);
  void on(const events::GoGoroutines& all, TimeNs time);
  void on(const events::GoCall& call, TimeNs time);
  // Series begin anew with their last point. Calls stay: they show where the present objects come from.
  void restart();

  // The last; null: none. Its `scan` identifies its pages.
  const std::shared_ptr<const events::GoReading>& reading() const { return reading_; }
  std::vector<GoPoint> curve() const { return curve_.points(); }
  const GoPauses& pauses() const { return pauses_; }
  const GoCycles& cycles() const { return cycles_; }
  const GoMoments& moments() const { return moments_; }
  std::vector<GoroutinePoint> goroutines() const { return goroutines_.points(); }
  std::vector<GoCallSite> calls() const { return calls_.all(); }       // most bytes first
  const events::GoProfile* profile() const { return profile_.get(); }  // nullptr: not read
  size_t memory_bytes() const {
    return calls_.memory_bytes() + cycles_.memory_bytes() + moments_.memory_bytes();
  }

 private:
  Curve<GoPoint, 1024> curve_;
  GoPauses pauses_;
  GoCycles cycles_;
  GoMoments moments_;
  Curve<GoroutinePoint, 32> goroutines_;
  GoCalls calls_;
  std::shared_ptr<const events::GoReading> reading_;
  std::shared_ptr<const events::GoProfile> profile_;
};

}  // namespace memwhy::timeline
