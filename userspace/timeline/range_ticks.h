// SPDX-License-Identifier: Apache-2.0
// RangeTicks: for ranges of pages, the newest tick at which something happened to them (removed, advised).
// Disjoint intervals in order; an operation costs O(log n). Bounded: the oldest are forgotten first.
//
//   munmap 0x100+16 at tick 40, then 0x108+2 at tick 90:
//     [0x100,0x108) 40  [0x108,0x10a) 90  [0x10a,0x110) 40
//   since(50), as for a forked child: the same intervals, shared, without those of 40
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "timeline/interval_map.h"

namespace memwhy::timeline {

class RangeTicks {
 public:
  static constexpr size_t kMaxIntervals = size_t{1} << 16;

  void raise(PageRange range, uint64_t tick);
  uint64_t at(PageNumber page) const;  // 0: nothing is known
  // Where that may change next.
  PageNumber changes_after(PageNumber page) const { return intervals_.changes_after(page); }

  // fn(PageRange, tick) for the parts of the range in order, tick 0 where nothing is known.
  template <typename Fn>
  void each(PageRange range, Fn fn) const {
    PageNumber at = range.start;
    intervals_.each(range.start, range.end, [&](const Interval& interval) {
      if (interval.tick < floor_) return;
      const PageNumber start = interval.range.start > at ? interval.range.start : at;
      const PageNumber end = interval.range.end < range.end ? interval.range.end : range.end;
      if (at < start) fn(PageRange{at, start}, uint64_t{0});
      if (start < end) fn(PageRange{start, end}, interval.tick);
      at = end;
    });
    if (at < range.end) fn(PageRange{at, range.end}, uint64_t{0});
  }

  uint64_t newest() const { return newest_; }
  // The newest tick that was forgotten for want of room, not by forget_before(); 0: none.
  uint64_t overflow_tick() const { return overflow_tick_; }
  void forget_before(uint64_t tick);
  void clear() { intervals_.clear(); }
  RangeTicks since(uint64_t tick)
      const;  // a copy with what is not older; it shares the intervals until one of the two writes
  RangeTicks within(PageRange range) const;  // a copy with what overlaps
  size_t memory_bytes() const { return intervals_.memory_bytes(); }

 private:
  struct Interval {
    PageRange range;
    uint64_t tick;
  };
  void put(PageRange range, uint64_t tick);
  void shed();

  IntervalMap<Interval> intervals_;
  uint64_t newest_ = 0, overflow_tick_ = 0;
  uint64_t floor_ = 0;  // what is older is not there
};

}  // namespace memwhy::timeline
