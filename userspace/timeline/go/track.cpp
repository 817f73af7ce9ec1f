// SPDX-License-Identifier: Apache-2.0
#include "timeline/go/track.h"

#include <utility>

namespace memwhy::timeline {

void GoTrack::on(const events::GoStatistics& sample, TimeNs time) {
  std::shared_ptr<const events::GoAllocations> allocations;
  if (sample.allocations) allocations = std::make_shared<const events::GoAllocations>(*sample.allocations);
  curve_.add({time, sample.counters, std::move(allocations)});
  for (const events::GoPause& pause : sample.pauses) {
    cycles_.add(pause);
    if (pauses_.collections > 0) pauses_.missed += pause.collection - pauses_.last - 1;
    pauses_.last = pause.collection;
    ++pauses_.collections;
    pauses_.total_ns += pause.pause_ns;
    if (pause.pause_ns > pauses_.longest.pause_ns) pauses_.longest = pause;
  }
}

void GoTrack::restart() {
  curve_.restart();
  pauses_ = {};
  cycles_ = {};
  goroutines_.restart();
}

void GoTrack::on(const events::GoReading& reading, TimeNs time) {
  reading_ = std::make_shared<const events::GoReading>(reading);
  if (events::trusted(reading.layout)) curve_.add({time, reading.counters});
}

void GoTrack::on(const events::GoProfile& profile, TimeNs /*time*/) {
  profile_ = std::make_shared<const events::GoProfile>(profile);
}

void GoTrack::on(const events::GoGoroutines& all, TimeNs time) {
  goroutines_.add({time, std::make_shared<const events::GoGoroutines>(all)});
}

void GoTrack::on(const events::GoCall& call, TimeNs time) {
  calls_.add(call, time);
  cycles_.add(call, time);
  moments_.add(call, time);
}

}  // namespace memwhy::timeline
