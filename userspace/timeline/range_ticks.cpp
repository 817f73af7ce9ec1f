// SPDX-License-Identifier: Apache-2.0
#include "timeline/range_ticks.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace memwhy::timeline {

void RangeTicks::put(PageRange range, uint64_t tick) {
  intervals_.put({range, tick}, [](const Interval& a, const Interval& b) { return a.tick == b.tick; });
}

void RangeTicks::raise(PageRange range, uint64_t tick) {
  if (range.empty()) return;
  newest_ = std::max(newest_, tick);
  bool newer = false;
  intervals_.each(range.start, range.end, [&](const Interval& interval) { newer |= interval.tick > tick; });
  if (!newer) {
    put(range, tick);
  } else {  // events of one second come in any order: what is newer stays
    std::vector<PageRange> parts;
    each(range, [&](PageRange part, uint64_t there) {
      if (there <= tick) parts.push_back(part);
    });
    for (const PageRange& part : parts) put(part, tick);
  }
  if (intervals_.size() > kMaxIntervals) shed();
}

uint64_t RangeTicks::at(PageNumber page) const {
  const Interval* interval = intervals_.find(page);
  return interval != nullptr && interval->tick >= floor_ ? interval->tick : 0;
}

// No room: the older half goes.
void RangeTicks::shed() {
  forget_before(floor_);
  if (intervals_.size() <= kMaxIntervals) return;
  std::vector<uint64_t> ticks;
  ticks.reserve(intervals_.size());
  intervals_.each([&](const Interval& interval) { ticks.push_back(interval.tick); });
  const auto middle = ticks.begin() + static_cast<std::ptrdiff_t>(ticks.size() / 2);
  std::nth_element(ticks.begin(), middle, ticks.end());
  overflow_tick_ = std::max(overflow_tick_, *middle);
  forget_before(*middle + 1);
}

void RangeTicks::forget_before(uint64_t tick) {
  tick = std::max(tick, floor_);
  intervals_.erase_if([tick](const Interval& interval) { return interval.tick < tick; });
}

RangeTicks RangeTicks::since(uint64_t tick) const {
  RangeTicks copy;
  if (newest_ < tick) return copy;
  copy.intervals_ = intervals_;
  copy.newest_ = newest_;
  copy.floor_ = std::max(tick, floor_);
  return copy;
}

RangeTicks RangeTicks::within(PageRange range) const {
  RangeTicks copy;
  each(range, [&](PageRange part, uint64_t tick) {
    if (tick != 0) copy.raise(part, tick);
  });
  return copy;
}

}  // namespace memwhy::timeline
