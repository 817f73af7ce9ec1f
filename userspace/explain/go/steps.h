// SPDX-License-Identifier: Apache-2.0
// Steps of a Go heap: when it rose at once, by how much, for good, and which code allocated that. A heap that rises evenly has
// none; a rise that collections undo is none.
//
//   in use   64   128   190   120   184   250   180       MiB, read at 1 Hz; a collection before the 4th and the 7th
//   floor    64   120   120   120   180   180     ?       least of what follows, and of what later collections found in use
//   step          +56               +60                   the last reading waits for a collection
#pragma once

#include "explain/go/facts.h"
#include "explain/stack_table.h"

namespace memwhy::explain {

// Of counters that are trusted.
GoSteps heap_steps(const GoFacts& go, StackTable& table);

}  // namespace memwhy::explain
