// SPDX-License-Identifier: Apache-2.0
// What a Go program did while memwhy watched, as values: what it allocated, its collections, steps of its heap. Parts of
// explanation.h. Bytes are virtual.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

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

// Where objects that the heap profile samples were allocated while memwhy watched; they may have died since.
struct GoAllocationSite {
  uint64_t samples = 0;
  std::optional<uint64_t> bytes;    // estimated from the samples; absent: the rate is not known
  std::vector<std::string> frames;  // innermost first, without package runtime at the leaf; empty: not known
};
struct GoAllocationSites {
  std::vector<GoAllocationSite> heaviest;
  uint64_t left_out = 0;
};

struct GoCycle {
  uint32_t collection = 0;  // the first of the program is 1
  uint64_t pause_ns = 0;    // in all of its pauses
  std::optional<uint64_t> mark_ns;
};

// A rise of the heap from one reading to the next that stayed, and that a collection has judged since.
struct GoStep {
  TimeNs since = 0, time = 0;  // of the two readings
  uint64_t bytes = 0;
  // The heaviest stack of large allocations between them, when it explains half of it.
  uint64_t objects = 0, object_bytes = 0;  // object_bytes: of all of them
  TimeNs allocated = 0;                    // the last of them
  std::vector<std::string> frames;         // innermost first; empty: not seen
};
struct GoSteps {
  std::vector<GoStep> steps;  // in order of time
  uint64_t left_out = 0;      // smaller ones
};

}  // namespace memwhy::explain
