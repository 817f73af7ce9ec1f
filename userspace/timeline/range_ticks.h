// SPDX-License-Identifier: Apache-2.0
// RangeTicks: for ranges of pages, the newest tick at which something happened to them (removed, advised).
// Disjoint intervals in order; an operation costs O(log n). Bounded: the oldest are forgotten first.
//
//   munmap 0x100+16 at tick 40, then 0x108+2 at tick 90:
//     [0x100,0x108) 40  [0x108,0x10a) 90  [0x10a,0x110) 40
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"

namespace memwhy::timeline {

class RangeTicks {
 public:
  static constexpr size_t kMaxIntervals = size_t{1} << 16;

  void raise(PageRange range, uint64_t tick);
  uint64_t at(PageNumber page) const;  // 0: nothing is known

  // fn(PageRange, tick) for the parts of the range in order, tick 0 where nothing is known.
  template <typename Fn>
  void each(PageRange range, Fn fn) const {
    PageNumber at = range.start;
    for (auto it = first_overlap(range.start); it != intervals_.end() && it->first < range.end; ++it) {
      const PageNumber start = it->first > at ? it->first : at;
      const PageNumber end = it->second.end < range.end ? it->second.end : range.end;
      if (at < start) fn(PageRange{at, start}, uint64_t{0});
      if (start < end) fn(PageRange{start, end}, it->second.tick);
      at = end;
    }
    if (at < range.end) fn(PageRange{at, range.end}, uint64_t{0});
  }

  uint64_t newest() const { return newest_; }
  // The newest tick that was forgotten for want of room, not by forget_before(); 0: none.
  uint64_t overflow_tick() const { return overflow_tick_; }
  void forget_before(uint64_t tick);
  void clear() { intervals_.clear(); }
  RangeTicks since(uint64_t tick) const;     // a copy with what is not older
  RangeTicks within(PageRange range) const;  // a copy with what overlaps
  size_t memory_bytes() const { return intervals_.size() * 72; }

 private:
  struct Interval {
    PageNumber end;
    uint64_t tick;
  };
  using Map = std::map<PageNumber, Interval>;
  Map::const_iterator first_overlap(PageNumber page) const;
  void split(PageNumber page);
  void shed();

  Map intervals_;
  uint64_t newest_ = 0, overflow_tick_ = 0;
};

}  // namespace memwhy::timeline
