// SPDX-License-Identifier: Apache-2.0
// The lines of the ledger for what the Go runtime holds. Its owners are built in (owner.h), since rules name them.
#pragma once

#include "events/go_runtime.h"
#include "events/runtime_lines.h"

namespace memwhy::explain {

inline events::RuntimeLines go_lines() {
  return {events::kGoRuntime,
          {},
          {{"heap", "go.heap.live",
            events::SlotOwners{"go.heap.unmarked", "go.heap.fragmentation", "go.heap.unclassified", "spans",
                               true}},
           {"stack", "go.stacks"},
           {"work", "go.runtime.gc_work"},
           {"idle", "go.heap.idle"},
           {"released", "go.heap.released_resident"},
           {"profiler", "go.runtime.profiler"}},
          "go.heap.unclassified",
          "go.runtime.metadata"};
}

}  // namespace memwhy::explain
