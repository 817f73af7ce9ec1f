// SPDX-License-Identifier: Apache-2.0
// The Go part of a process's explanation: its runtime's settings and totals, its heap profile, its
// goroutines. Not its counters over time: go_timeline.h. Not findings: rules/.
#pragma once

#include "explain/go_facts.h"
#include "explain/ledger.h"

namespace memwhy::explain {

void describe_go(const GoFacts& go, ProcessExplanation& out);
// Where the objects of go.heap.live were allocated, by the heap profile; the line keeps its faults when there is none.
void add_allocation_sites(const GoFacts& go, Ledger& ledger);

}  // namespace memwhy::explain
