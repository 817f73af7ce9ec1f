// SPDX-License-Identifier: Apache-2.0
#include "explain/go/books.h"

#include <algorithm>
#include <limits>

namespace memwhy::explain {
namespace {

constexpr size_t kFew = 6;                // collections that are judged one by one
constexpr double kShareOfFew = 1.0 / 16;  // of the rise, by each of a few
constexpr double kShareOfPace = 1.0 / 4;  // or of what it would be by its time
constexpr double kSettling = 3;           // seconds after a collection in which it still sweeps
constexpr double kMostLate = 3;           // times the wait before
constexpr double kLeastPace = 3.0 / 4;    // of the usual rise
constexpr double kSlowPace =
    1.0 / 2;  // or of it: maps and slices that double grow by leaps, and slowly between them
constexpr double kForcedSeconds = 120;  // the runtime collects at least so often, unless GOGC=off

double seconds_between(TimeNs from, TimeNs to) {
  return to > from ? static_cast<double>(to - from) / 1e9 : 0;
}

uint64_t in_use(const events::GoCounters& counters) {
  return counters.allocated_bytes - std::min(counters.allocated_bytes, counters.freed_bytes);
}

// What each collection left in use, when it was first seen to have ended; the first is from before attach.
std::vector<TrendPoint> live_after(const std::vector<timeline::GoPoint>& curve) {
  std::vector<TrendPoint> out;
  uint32_t cycle = 0;
  for (const timeline::GoPoint& point : curve) {
    const events::GoCounters& c = point.counters;
    if (c.gc_cycles == 0) continue;
    if (out.empty() || c.gc_cycles != cycle) out.push_back({point.time, c.live_bytes});
    out.back().value = c.live_bytes;
    cycle = c.gc_cycles;
  }
  return out;
}

uint64_t least(const std::vector<TrendPoint>& live) {
  return std::min_element(live.begin(), live.end(),
                          [](const TrendPoint& a, const TrendPoint& b) { return a.value < b.value; })
      ->value;
}

// Each has its share, and the last did not rise more slowly than half of the usual.
bool few_rise(const std::vector<TrendPoint>& live) {
  if (live.size() < kLeastCollections + 1 || live.back().value <= live.front().value) return false;
  const double grown = static_cast<double>(live.back().value - live.front().value);
  const TrendPoint &last = live.back(), &before = live[live.size() - 2];
  const double usual = grown / seconds_between(live.front().time, last.time);
  for (size_t i = 1; i < live.size(); ++i) {
    // Each wait is twice as long as the one before, so that the first of five rises is a 31st of all, as fast as the others.
    const double share =
        std::min(grown * kShareOfFew, usual * seconds_between(live[i - 1].time, live[i].time) * kShareOfPace);
    if (static_cast<double>(live[i].value) - static_cast<double>(live[i - 1].value) < share) return false;
  }
  return static_cast<double>(last.value - before.value) / seconds_between(before.time, last.time) >=
         usual / 2;
}

// Nothing is known after the last collection. A leak goes on filling the heap as fast as before, and each collection comes
// after at most twice the time of the one before; a load that is over does not, or the next collection is late. `least`: bytes a
// second.
bool goes_on(const std::vector<timeline::GoPoint>& curve, const std::vector<TrendPoint>& live, double least) {
  const TimeNs last = live.back().time;
  const double since = seconds_between(last, curve.back().time);
  if (since <= kSettling) return true;
  if (since > kMostLate * seconds_between(live[live.size() - 2].time, last)) return false;
  const auto then = std::find_if(curve.begin(), curve.end(),
                                 [&](const timeline::GoPoint& point) { return point.time >= last; });
  const uint64_t before = in_use(then->counters), now = in_use(curve.back().counters);
  return now > before && static_cast<double>(now - before) / since >= least;
}

void add_next(const std::vector<timeline::GoPoint>& curve, const std::vector<TrendPoint>& live,
              HeapBooks& books) {
  const events::GoCounters& now = curve.back().counters;
  const bool limited =
      now.memory_limit_bytes != std::numeric_limits<int64_t>::max() && now.memory_limit_bytes != 0;
  if (now.gc_percent < 0 && !limited) return;
  const double rate = books.allocated_per_s();
  if (rate > 0 && events::has_goal(now.goal_bytes)) {
    const uint64_t used = in_use(now);
    books.next_collection_s = static_cast<double>(now.goal_bytes - std::min(used, now.goal_bytes)) / rate;
    if (now.gc_cycles > 0 && now.goal_bytes > now.live_bytes)
      books.seconds_between = static_cast<double>(now.goal_bytes - now.live_bytes) / rate;
  }
  if (now.gc_percent < 0) return;
  const double waited =
      books.collections > 0 ? seconds_between(live.back().time, curve.back().time) : books.seconds;
  const double forced = std::max(0.0, kForcedSeconds - waited);
  books.next_collection_s = std::min(books.next_collection_s.value_or(forced), forced);
  books.seconds_between = std::min(books.seconds_between.value_or(kForcedSeconds), kForcedSeconds);
}

}  // namespace

HeapBooks books_of(const std::vector<timeline::GoPoint>& curve) {
  HeapBooks books;
  if (curve.empty()) return books;
  const events::GoCounters &first = curve.front().counters, &last = curve.back().counters;
  books.collections = last.gc_cycles - std::min(first.gc_cycles, last.gc_cycles);
  books.seconds = seconds_between(curve.front().time, curve.back().time);
  books.allocated = last.allocated_bytes - std::min(first.allocated_bytes, last.allocated_bytes);
  books.freed = last.freed_bytes - std::min(first.freed_bytes, last.freed_bytes);
  const std::vector<TrendPoint> live = live_after(curve);
  if (!live.empty()) {
    books.live_before = live.front().value;
    books.live_now = live.back().value;
  }
  if (live.size() > 1) {
    books.judged_seconds = seconds_between(curve.front().time, live.back().time);
    const Trend trend = trend_of(live);
    books.bytes_per_s = trend.bytes_per_s;
    const bool few = live.size() <= kFew;
    const uint64_t before_last = live[live.size() - 2].value;
    const double all = static_cast<double>(books.live_now) - static_cast<double>(books.live_before);
    const double last_rise = static_cast<double>(books.live_now) - static_cast<double>(before_last);
    const double usual =
        few ? all / seconds_between(live.front().time, live.back().time)
            : static_cast<double>(trend.grown_bytes) / std::max(trend.shown_seconds, kSettling);
    const bool rises = few ? few_rise(live) : trend.rising;
    books.rising =
        rises && books.collections >= kLeastCollections && goes_on(curve, live, usual * kLeastPace);
    books.unsettled =
        !books.rising && all > 0 && last_rise >= all * kShareOfFew && goes_on(curve, live, usual * kSlowPace);
    if (books.rising && !few) {
      books.live_before = least(live);
      books.live_now = books.live_before + trend.grown_bytes;
    }
    if (books.rising) books.grown_bytes = books.live_now - books.live_before;
  }
  add_next(curve, live, books);
  return books;
}

}  // namespace memwhy::explain
