// SPDX-License-Identifier: Apache-2.0
#include "timeline/range_ticks.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace memwhy::timeline {

RangeTicks::Map::const_iterator RangeTicks::first_overlap(PageNumber page) const {
  auto it = intervals_.upper_bound(page);
  if (it != intervals_.begin() && std::prev(it)->second.end > page) --it;
  return it;
}

void RangeTicks::split(PageNumber page) {
  const auto it = intervals_.upper_bound(page);
  if (it == intervals_.begin()) return;
  const auto before = std::prev(it);
  if (before->first == page || before->second.end <= page) return;
  intervals_.emplace_hint(it, page, before->second);
  before->second.end = page;
}

void RangeTicks::raise(PageRange range, uint64_t tick) {
  if (range.empty()) return;
  newest_ = std::max(newest_, tick);
  split(range.start);
  split(range.end);
  PageNumber at = range.start;
  auto it = intervals_.lower_bound(range.start);
  while (it != intervals_.end() && it->first < range.end) {
    if (it->second.tick <= tick) {
      it = intervals_.erase(it);
      continue;
    }
    if (at < it->first) intervals_.emplace_hint(it, at, Interval{it->first, tick});
    at = it->second.end;
    ++it;
  }
  if (at < range.end) {
    const auto next = intervals_.lower_bound(at);
    if (next != intervals_.begin()) {
      Interval& before = std::prev(next)->second;
      if (before.end == at && before.tick == tick) {
        before.end = range.end;
        return;
      }
    }
    intervals_.emplace_hint(next, at, Interval{range.end, tick});
  }
  if (intervals_.size() > kMaxIntervals) shed();
}

uint64_t RangeTicks::at(PageNumber page) const {
  const auto it = first_overlap(page);
  return it != intervals_.end() && it->first <= page ? it->second.tick : 0;
}

// No room: the older half goes.
void RangeTicks::shed() {
  std::vector<uint64_t> ticks;
  ticks.reserve(intervals_.size());
  for (const auto& [start, interval] : intervals_) ticks.push_back(interval.tick);
  const auto middle = ticks.begin() + static_cast<std::ptrdiff_t>(ticks.size() / 2);
  std::nth_element(ticks.begin(), middle, ticks.end());
  overflow_tick_ = std::max(overflow_tick_, *middle);
  forget_before(*middle + 1);
}

void RangeTicks::forget_before(uint64_t tick) {
  std::erase_if(intervals_, [tick](const auto& item) { return item.second.tick < tick; });
}

RangeTicks RangeTicks::since(uint64_t tick) const {
  RangeTicks copy;
  if (newest_ < tick) return copy;
  for (const auto& item : intervals_) {
    if (item.second.tick >= tick) copy.intervals_.insert(copy.intervals_.end(), item);
  }
  copy.newest_ = newest_;
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
