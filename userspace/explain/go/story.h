// SPDX-License-Identifier: Apache-2.0
// The Go part of a process's explanation: its runtime's settings and totals, its heap profile, its
// goroutines. Not its counters over time: timeline.h. Not findings: rules/.
#pragma once

#include "explain/go/facts.h"
#include "explain/stack_table.h"

namespace memwhy::explain {

// Its stacks go into `table`.
void describe_go(const GoFacts& go, StackTable& table, ProcessExplanation& out);
// Where the objects of go.heap.live were allocated, by the heap profile, heaviest first. Empty: there is none.
std::vector<AllocatedAt> allocated_at(const GoFacts& go, StackTable& table);

}  // namespace memwhy::explain
