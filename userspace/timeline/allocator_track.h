// SPDX-License-Identifier: Apache-2.0
// AllocatorTrack: the reports of one allocator in an address space over time, besides its pages (runtime_claims.h);
// AllocatorTracks: those of all allocators in it, by name (glibc and CPython's in one process).
//
//   scans with what is free  t=0  t=10  t=20 ...                     thinned like RSS
//   sizes of what is in use  t=0 {1,008: 9.9 MiB}  ...  t=12 {1,008: 46.7 MiB}    max 64 kept
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "events/event.h"
#include "timeline/curve.h"

namespace memwhy::timeline {

struct AllocatorPoint {
  TimeNs time = 0;
  uint64_t used_bytes = 0, free_bytes = 0;  // resident, in arenas
  uint64_t trimmable_bytes = 0;             // of what is free: a call would return it
  uint64_t collections = 0;                 // of a managed heap, so far
};

struct AllocatorSizes {
  TimeNs time = 0;
  std::shared_ptr<const events::AllocatorHeap> heap;
};

class AllocatorTrack {
 public:
  void on(const events::AllocatorHeap& heap, TimeNs time) {
    auto kept = std::make_shared<const events::AllocatorHeap>(heap);
    if (!heap.sizes.empty()) {
      sizes_.add({time, std::move(kept)});
      if (last_ && last_->scan == heap.scan) return;  // the same once more, with sizes
      kept = sizes_.points().back().heap;
    }
    curve_.add({time, heap.used_bytes,
                heap.trimmable_bytes + heap.pinned_bytes + heap.top_bytes + heap.cached_bytes,
                heap.trimmable_bytes, heap.collections});
    last_ = std::move(kept);
  }

  void restart() {  // series begin anew with their last point
    curve_.restart();
    sizes_.restart();
  }

  const std::shared_ptr<const events::AllocatorHeap>& last() const { return last_; }  // null: no report
  std::vector<AllocatorPoint> curve() const { return curve_.points(); }
  std::vector<AllocatorSizes> sizes() const { return sizes_.points(); }
  size_t memory_bytes() const { return curve_.memory_bytes() + sizes_.memory_bytes(); }

 private:
  Curve<AllocatorPoint, 1024> curve_;
  Curve<AllocatorSizes, 64> sizes_;
  std::shared_ptr<const events::AllocatorHeap> last_;
};

class AllocatorTracks {
 public:
  void on(const events::AllocatorHeap& heap, TimeNs time) {
    auto known = std::find_if(tracks_.begin(), tracks_.end(), [&](const AllocatorTrack& each) {
      return each.last()->allocator == heap.allocator;
    });
    if (known == tracks_.end()) {
      if (tracks_.size() == events::kMostRuntimes) return;
      known = tracks_.emplace(tracks_.end());
    }
    known->on(heap, time);
  }
  void restart() {
    for (AllocatorTrack& track : tracks_) track.restart();
  }
  const std::vector<AllocatorTrack>& all() const { return tracks_; }  // each has a report
  size_t memory_bytes() const {
    size_t sum = 0;
    for (const AllocatorTrack& track : tracks_) sum += track.memory_bytes();
    return sum;
  }

 private:
  std::vector<AllocatorTrack> tracks_;
};

}  // namespace memwhy::timeline
