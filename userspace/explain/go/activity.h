// SPDX-License-Identifier: Apache-2.0
// What a Go program did while memwhy watched, as values: what it allocated, its collections, steps of its heap. Parts of
// explanation.h. Bytes are virtual; stacks are indexes into the process's Attribution.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "explain/attribution.h"

namespace memwhy::explain {

struct GoClassRate {
  uint64_t object_bytes = 0;
  double objects_per_s = 0;
};

struct GoAllocationRates {
  double seconds = 0;
  double bytes_per_s = 0, objects_per_s = 0;  // tiny objects in one 16-byte block are one
  double large_bytes_per_s = 0, large_objects_per_s = 0;
  std::vector<GoClassRate> small;  // classes in which something was allocated, most bytes first
};

// What the Go runtime counted, virtual bytes.
struct GoTimelinePoint {
  uint64_t live_bytes = 0;             // marked by the last collection
  std::optional<uint64_t> goal_bytes;  // where the next begins to end; absent: nowhere (GOGC=off), or unknown
  uint64_t allocated_bytes = 0, freed_bytes = 0;  // since the program started
  uint32_t gc_cycle = 0;
  uint64_t released_bytes = 0;     // given back to the system, or never touched
  int32_t gc_percent = 0;          // GOGC; -1: off
  int64_t memory_limit_bytes = 0;  // GOMEMLIMIT; INT64_MAX: none
  std::optional<GoAllocationRates> allocation =
      std::nullopt;  // since the reading before; absent: not read, or the first
};

// Where objects that the heap profile samples were allocated while memwhy watched; they may have died since.
struct GoAllocationSite {
  uint64_t samples = 0;
  std::optional<uint64_t> bytes;  // estimated from the samples; absent: unknown rate
  uint32_t stack = kNoIndex;      // without package runtime at the leaf; kNoIndex: unknown
};
struct GoAllocationSites {
  std::vector<GoAllocationSite> heaviest;
  uint64_t left_out = 0;
};

// Collections while memwhy watched, and how long they stopped the world.
struct GoPauseSummary {
  uint64_t collections = 0, missed = 0;  // missed: more than 256 between two polls
  uint64_t total_ns = 0, longest_ns = 0;
  uint64_t marks = 0, mark_total_ns = 0, mark_longest_ns = 0;  // marks: that probes saw start and end
  uint64_t listed = 0;                                         // "gc" events: the latest and the longest
};

struct GoCycle {
  uint32_t collection = 0;  // the first of the program is 1
  uint64_t pause_ns = 0;    // total of its pauses
  std::optional<uint64_t> mark_ns;
};

// A rise of the heap from one reading to the next that stayed, and that a collection has judged since.
struct GoStep {
  TimeNs since = 0, time = 0;  // of the two readings
  uint64_t bytes = 0;
  // The heaviest stack of large allocations between them, when it explains half of it.
  uint64_t objects = 0, object_bytes = 0;  // object_bytes: of all of them
  TimeNs allocated = 0;                    // the last of them
  uint32_t stack = kNoIndex;               // kNoIndex: not seen
};
struct GoSteps {
  std::vector<GoStep> steps;  // in order of time
  uint64_t left_out = 0;      // smaller ones
};

}  // namespace memwhy::explain
