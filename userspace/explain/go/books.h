// SPDX-License-Identifier: Apache-2.0
// HeapBooks: the growth of a Go heap by the runtime's own counters. Between two collections every heap rises, so RSS shows
// nothing; allocated against freed bytes do, and what each collection left in use. Not the ledger's bytes, and no sentences:
// rules/live_heap_growth.cpp, and verdict.cpp if too little was seen.
//
//   collection   4 (before attach)   5      6      7      now
//   in use after        71          118    233    411              rises by 47, 115, 178: by its time evenly  → rising
//   allocated since attach                               659 MiB   freed 59
#pragma once

#include <optional>
#include <vector>

#include "explain/growth.h"
#include "timeline/go/track.h"

namespace memwhy::explain {

// In use after the last before attach, and after these: two rises are the least that shows growth.
constexpr uint32_t kLeastCollections = 2;

struct HeapBooks {
  uint32_t collections = 0;           // that ended while memwhy watched
  double seconds = 0;                 // from the first reading to the last
  double judged_seconds = 0;          // from the first reading to the last collection
  uint64_t allocated = 0, freed = 0;  // total
  // In use after the first known collection, and after the last. Of more collections than a few, when rising: the least after
  // any, and the least that is confirmed now; what lies above is not yet known to stay.
  uint64_t live_before = 0, live_now = 0;
  bool rising = false;  // in use after each collection more than after the one before, until now
  bool unsettled =
      false;  // not rising as far as is known, but the last collection left more than the one before
  uint64_t grown_bytes = 0;           // when rising
  std::optional<double> bytes_per_s;  // of what is in use; needs two collections that are known
  // At the rate of allocation; absent: the collector is off, or the heap hardly allocates.
  std::optional<double> next_collection_s, seconds_between;

  double allocated_per_s() const { return seconds > 0 ? static_cast<double>(allocated) / seconds : 0; }
  // What came after the last collection is not judged yet.
  bool lasting() const { return rising && judged_seconds >= kLastingSeconds; }
};

HeapBooks books_of(const std::vector<timeline::GoPoint>& curve);

}  // namespace memwhy::explain
