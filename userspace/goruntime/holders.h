// SPDX-License-Identifier: Apache-2.0
// Who holds the heap: what hangs from one variable, one group of goroutines or the queue of finalizers, and from nothing else.
// The same walk as for what goroutines keep (reach.h), with a color for each root; so what is said of one alone is a lower
// bound, and what is left to others too is told by the root that is nearest.
//
//   main.sessions {8 B}   main.config {24 B}   5 goroutines in chan send     (stripped: each word of the variables by itself)
//     256 MiB               2 KiB                 320 MiB
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "events/go_runtime.h"
#include "goruntime/globals.h"
#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"

namespace memwhy::goruntime {

constexpr size_t kMostHolders = 16;
constexpr size_t kMostSizes = 4, kMostKept = 16;  // of each
constexpr uint64_t kLeastPinned = 4096;  // bytes of an object without pointers that is looked at closer

struct HolderRoots {
  std::span<const AddressRange> variables = {};  // in order; none: not known
  std::span<const Members> groups = {};          // of goroutines
  std::span<const uint64_t> queued = {};         // as for reach()
  std::span<const AddressRange> resident = {};   // in order: pages that are
};

// Without names: holders of most bytes first.
events::GoHeld holders(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans,
                       const GoroutineList& list, const HolderRoots& roots, const ReachBudget& budget);

}  // namespace memwhy::goruntime
