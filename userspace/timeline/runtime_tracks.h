// SPDX-License-Identifier: Apache-2.0
// What runtimes report beside the pages that they hold: a track for each runtime that has events of its own. To add a track:
// a member here and a name in the list of on().
#pragma once

#include "timeline/allocation_calls.h"
#include "timeline/allocator_track.h"
#include "timeline/go/track.h"

namespace memwhy::timeline {

struct RuntimeTracks {
  GoTrack go;
  AllocatorTracks allocators;
  AllocationCalls calls;

  void on(const auto& event, TimeNs time)
    requires requires { go.on(event, time); }
  {
    go.on(event, time);
  }
  void on(const events::AllocatorHeap& event, TimeNs time) { allocators.on(event, time); }
  void on(const events::AllocationCall& event, TimeNs time) { calls.add(event, time); }
  void restart() {
    go.restart();
    allocators.restart();
    calls = {};
  }
  size_t memory_bytes() const { return go.memory_bytes() + allocators.memory_bytes() + calls.memory_bytes(); }
};

}  // namespace memwhy::timeline
