// SPDX-License-Identifier: Apache-2.0
// What holds the heap: objects that hang from one variable, one group of goroutines or the queue of finalizers, and from nothing
// else. The same walk as for what goroutines keep (reach.h), with a color for each root; so the bytes of one alone are a lower
// bound, and objects that several reach are listed with the nearest root.
//
//   main.sessions {8 B}   main.config {24 B}   5 goroutines in chan send     (stripped: each word of the variables by itself)
//     256 MiB               2 KiB                 320 MiB
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "events/go_runtime.h"
#include "goruntime/globals.h"
#include "goruntime/go_process.h"
#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"

namespace memwhy::goruntime {

constexpr size_t kMostHolders = 16;
constexpr size_t kMostSizes = 4, kMostKept = 16;  // of each
constexpr uint64_t kLeastPinned = 4096;  // bytes of an object without pointers that is examined closer

struct HolderRoots {
  std::span<const AddressRange> variables = {};  // in order; none: unknown
  std::span<const Members> groups = {};          // of goroutines
  std::span<const uint64_t> queued = {};         // as for reach()
  std::span<const AddressRange> resident = {};   // in order: pages that are
};

struct Holding {
  events::GoHeld held;
  // For each holder, where there are no symbols: words of variables that lead to it, as it may be one without a name itself.
  std::vector<std::vector<uint64_t>> led_by;
};

// Without names: holders of most bytes first. `slots` and `entries` are those of a variable that is a map, or of all maps that are
// reached from the holder alone, where their tables are most of it (Go 1.24 and later).
Holding holders(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans,
                const GoroutineList& list, const HolderRoots& roots, const ReachBudget& budget);

// By symbols; where none tells it, by the first word on the way to it that code refers to.
using NamesOf = std::function<std::vector<GoProgram::VariableName>(const std::vector<uint64_t>&)>;
void name_holders(Holding& holding, const NamesOf& names_of);

}  // namespace memwhy::goruntime
