// SPDX-License-Identifier: Apache-2.0
// The runtime's queue of finalizers that are due: objects that a collection found dead, kept until the one goroutine that runs
// finalizers reaches them. Found by the content of its blocks, like the other tables (globals.h), without symbols.
//
//   allfin ─► block {alllink, next, cnt 7, [fn arg nret fint ot] x 101} ─alllink─► block {…, cnt 101, …} ─► 0
//     a block that waits, or runs: cnt entries, each with an object of the heap    free: cnt 0
//     7 + 101 = 108 wait; the blocked one is among them, its cnt falls when it returns
//
// Cleanups of Go 1.24 are in it too: their closures count as objects. Those of Go 1.25 and later are not: they have a queue of
// their own and several goroutines.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "goruntime/globals.h"

namespace memwhy::goruntime {

// Addresses of the objects, max kMostFinalizers; `waiting` counts all. nullopt: not found.
struct FinalizerQueue {
  uint64_t waiting = 0;
  std::vector<uint64_t> objects;
};
constexpr size_t kMostFinalizers = 1 << 20;
std::optional<FinalizerQueue> read_finalizers(remote::RemoteMemory& memory, const Globals& globals);

}  // namespace memwhy::goruntime
