// SPDX-License-Identifier: Apache-2.0
// AllocatorFacts: what rules may know of an allocator's heap besides the ledger: its state at the last scan, and over time.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "timeline/allocator_track.h"

namespace memwhy::explain {

struct AllocatorFacts {
  std::shared_ptr<const events::AllocatorHeap> heap;  // of the last scan; never null
  std::vector<timeline::AllocatorPoint> curve;
  std::vector<timeline::AllocatorSizes> sizes;

  uint64_t free_bytes() const {
    return heap->trimmable_bytes + heap->pinned_bytes + heap->top_bytes + heap->cached_bytes;
  }
  // What a call would have returned at each moment seen of the last minute, or of the time between the last two readings.
  uint64_t lasting_trimmable_bytes() const {
    constexpr TimeNs kWhile = 60'000'000'000;
    uint64_t least = heap->trimmable_bytes;
    for (auto point = curve.rbegin(); point != curve.rend(); ++point) {
      least = std::min(least, point->trimmable_bytes);
      if (curve.back().time - point->time >= kWhile) break;
    }
    return least;
  }
  // How many collections there were in these seconds until the end; nullopt: its counter is not read.
  std::optional<uint64_t> collections_in(double seconds) const {
    if (curve.empty() || heap->collections == 0) return std::nullopt;
    const double from = static_cast<double>(curve.back().time) - seconds * 1e9;
    uint64_t first = curve.front().collections;
    for (const timeline::AllocatorPoint& point : curve)
      if (static_cast<double>(point.time) <= from) first = point.collections;
    return curve.back().collections - std::min(first, curve.back().collections);
  }
  // When the sum in use over all arenas was greatest.
  timeline::AllocatorPoint fullest() const {
    timeline::AllocatorPoint most;
    for (const timeline::AllocatorPoint& point : curve)
      if (point.used_bytes >= most.used_bytes) most = point;
    return most;
  }
};

}  // namespace memwhy::explain
