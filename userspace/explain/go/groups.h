// SPDX-License-Identifier: Apache-2.0
// GroupStory: one group of goroutines (same stack, wait reason and creation site) over the readings of a recording, with
// names. Not a judgement: rules/goroutine_leak.cpp.
//
//   chan send  main.runJob.func1.1 (main.go:47)     12:00:01  12:00:04  12:00:07  12:00:10
//     goroutines                                           3         4         6         7
//     kept + stacks                                  192 MiB   256 MiB   384 MiB   448 MiB
#pragma once

#include <vector>

#include "explain/explanation.h"
#include "explain/go/facts.h"
#include "explain/growth.h"
#include "explain/stack_table.h"

namespace memwhy::explain {

struct GroupStory {
  const events::GoGroup* now = nullptr;  // in the last reading
  TimeNs read_at = 0;
  bool complete = true;  // the walk of the last reading
  std::vector<Frame> frames;
  Frame site;        // where it waits, in the program's own code; not known(): none
  Frame created_at;  // not known(): main, or the runtime's
  bool of_runtime = false;
  std::vector<TrendPoint> counts, weights;  // of each reading; 0 where it was not there
  uint64_t weight() const { return now->kept_bytes + now->stack_bytes; }
};

// Whether one of them has waited so long already when it was read.
bool waited(const events::GoGroup& group, TimeNs read_at, TimeNs at_least);

// All groups of the last reading, heaviest first. Empty: goroutines were not read.
std::vector<GroupStory> group_stories(const GoFacts& go);

// Where the large objects that a group keeps come from.
struct Origin {
  Frame site;               // of most bytes
  bool allocation = false;  // else where they were first written to
  size_t objects = 0, sampled = 0, probed = 0, touched = 0;
  uint64_t object_bytes = 0;  // of each, when they are alike; 0 they are not
};
Origin origin_of(const GoFacts& go, const events::GoGroup& group);

// What the report shows of it, and of those that the heap hangs from.
std::optional<GoroutineSummary> summary_of(const GoFacts& go, StackTable& table);
std::optional<HeldSummary> held_summary_of(const GoFacts& go, StackTable& table);

}  // namespace memwhy::explain
