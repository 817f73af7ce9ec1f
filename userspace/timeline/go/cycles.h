// SPDX-License-Identifier: Apache-2.0
// GoCycles: single collections of a Go program, and when each was marking. Bounded: the latest, and the longest pauses of
// all; GoPauses has the sums.
//
//   probes     collection_start 12.100 s                mark_end 12.104 s
//   ring             |----------- marking ------------------|  pause 41,200 ns, ended 12.1041 s    collection 38
#pragma once

#include <deque>
#include <vector>

#include "base/ids.h"
#include "events/go_probe.h"
#include "events/go_runtime.h"

namespace memwhy::timeline {

struct GoMark {
  TimeNs start = 0, end = 0;
};

class GoCycles {
 public:
  static constexpr size_t kLatest = 256, kLongest = 32;

  void add(const events::GoPause& pause);
  void add(const events::GoCall& call, TimeNs time);

  // In order of number: the latest, and the longest of those before.
  std::vector<events::GoPause> pauses() const;
  const std::deque<GoMark>& marks() const { return marks_; }  // the latest, in order of time
  // Of all markings that were seen from start to end.
  uint64_t marks_seen() const { return marks_seen_; }
  uint64_t mark_total_ns() const { return mark_total_ns_; }
  uint64_t mark_longest_ns() const { return mark_longest_ns_; }
  size_t memory_bytes() const {
    return (latest_.size() + longest_.size()) * sizeof(events::GoPause) + marks_.size() * sizeof(GoMark);
  }

 private:
  std::deque<events::GoPause> latest_;
  std::vector<events::GoPause> longest_;  // of those that are no more in latest_
  std::deque<GoMark> marks_;
  TimeNs marking_since_ = 0;  // 0: its start was not seen
  uint64_t marks_seen_ = 0, mark_total_ns_ = 0, mark_longest_ns_ = 0;
};

}  // namespace memwhy::timeline
