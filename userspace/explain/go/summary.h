// SPDX-License-Identifier: Apache-2.0
// What is known of a Go program's runtime, as values: its release and settings, what it counted, its goroutines, calls of
// its rare functions. Stacks and frames are indexes into the process's Attribution. Bytes are virtual. Part of
// explanation.h; what it did over time is activity.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "events/go_probe.h"
#include "events/go_runtime.h"
#include "explain/attribution.h"
#include "explain/go/activity.h"

namespace memwhy::explain {

// The heap that the next collection is to end at. Absent: no such (GOGC=off without a limit), or it was not read.
inline std::optional<uint64_t> heap_goal(const events::GoCounters& counters) {
  return events::has_goal(counters.goal_bytes) ? std::optional(counters.goal_bytes) : std::nullopt;
}

// How still the Go heap was while it was read for the ledger.
struct GoHeapReading {
  bool quiet = false;  // no counter of the runtime moved
  uint64_t spans = 0, spans_in_motion = 0;
  // Whether the lines of the heap are blurred by it.
  bool changed() const { return !quiet || spans_in_motion * 100 > spans; }
};

// From what objects of the heap hang, at the end of the recording.
struct HolderSummary {
  events::GoHolder::Kind kind{};
  std::string name, used_by;        // of a variable, as events::GoHolder
  uint64_t address = 0;             // of a variable
  uint64_t count = 0;               // of goroutines
  uint32_t stack = kNoIndex;        // of goroutines
  uint32_t created_at = kNoIndex;   // frame of the go statement
  uint64_t bytes = 0, objects = 0;  // that hang from it alone
  uint64_t resident_bytes = 0;      // of `bytes`
  uint64_t also_bytes = 0;          // that hang from it and from others
};
struct HeldSummary {
  bool complete = true;                // false: the walk ran out of its budget
  uint64_t bytes = 0, objects = 0;     // reached from anything; virtual
  std::vector<HolderSummary> holders;  // of most bytes first
};

struct GoSummary {
  std::string library;  // that has the runtime, of a C program; "": the executable has it
  std::string version;
  bool race = false, cgo = false, stripped = false;
  events::GoLayout layout = events::GoLayout::kNone;
  std::string layout_problem;                   // one sentence when the runtime's tables are not used
  std::optional<events::GoCounters> totals;     // virtual bytes, GOGC and GOMEMLIMIT among them
  std::optional<GoPauseSummary> pauses;         // absent: the counters were not read
  std::optional<GoAllocationRates> allocation;  // from the first reading to the last
  GoAllocationSites sites;
  GoSteps steps;
  std::optional<HeldSummary> held;  // absent: the heap was not walked
};

// Goroutines with the same stack, wait reason and creation site.
struct GoroutineGroup {
  uint64_t count = 0;
  std::string wait_reason;              // "" running, runnable or in a system call
  uint32_t site = kNoIndex;             // frame where it waits, of the program's own code
  uint32_t created_at = kNoIndex;       // frame of the go statement
  std::optional<TimeNs> waiting_since;  // at least one of them, at least since
  std::optional<uint64_t> kept_bytes;   // reachable from this group alone; absent: the walk was cut short
  uint64_t stack_bytes = 0;
  uint32_t stack = kNoIndex;
};

struct GoroutineSummary {
  TimeNs time = 0;  // when they were read
  uint64_t count = 0;
  std::vector<GoroutineGroup> groups;  // heaviest first
};

// What of the heap hangs from one variable, from goroutines of one kind, or from the queue of finalizers, and from nothing
// else. Read at the end of a recording.
struct HeapHolder {
  std::string name;          // of a variable: "main.sessions", or its address; "goroutines", "finalizers"
  uint32_t site = kNoIndex;  // frame where the goroutines wait
  uint64_t resident_bytes = 0, objects = 0;
};

// Calls of a rare function of the Go runtime from one stack, since memwhy attached.
struct GoCallSummary {
  events::GoFunction what{};
  uint64_t calls = 0, bytes = 0;  // of scavenge the requested bytes, without requests for everything
  uint64_t object_bytes = 0;      // of each large object, in whole Go pages; 0 others
  TimeNs first = 0, last = 0;
  uint32_t stack = kNoIndex;  // kNoIndex: unknown
};

}  // namespace memwhy::explain
