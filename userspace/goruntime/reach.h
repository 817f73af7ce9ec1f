// SPDX-License-Identifier: Apache-2.0
// What groups of goroutines alone keep alive: a bounded walk of the heap from outside. Of a stack, the words count that
// the compiler's maps call live (stack_maps.h; every word where there is no such map); of a global, those that the
// runtime's masks call pointers; of an object of up to 512 bytes, those that the bitmap of its span does (Go 1.22 and
// later). The rest is conservative: every aligned word that looks like an address of an object is one, as for a collector
// that does not know types; so "exclusive" is a lower bound of what would be freed, up to words that changed during the walk.
//
//   globals ──► cache ──► node, node …            shared: reached from globals (or by two groups)
//   group 3, 5 goroutines blocked in chan send:
//     stack ──► job {48 B} ──► buffer {64 MiB}    exclusive of group 3: 5 x (48 B + 64 MiB)
//
// Under a budget: variables and lone goroutines first, so that groups stop at what is known to be shared; then the groups,
// by turns and out of a reserve that is theirs alone. In a heap too large for that, what a group's stacks reach is found
// all the same; only whether nothing else reaches it is unknown (finished: false). The other order would spend the groups'
// reserve on the program's large shared structures. Both are breadth first: what hangs on a parked stack is close to it.
//
// Not walked through: goroutines, threads and processors of the runtime themselves; they reach everything, and are taken
// out of the table of spans.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "goruntime/globals.h"
#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/spans.h"

namespace memwhy::goruntime {

struct ReachBudget {
  uint64_t objects = 2'000'000;                // remembered, 20 bytes each
  uint64_t read_bytes = 1024u << 20;           // of the target's memory
  uint64_t absent_bytes = uint64_t{16} << 30;  // looked for and not resident: arrays that were never filled
  uint64_t group_objects = 500'000;            // on top, when the groups begin
  uint64_t group_bytes = 256u << 20;
};

// A large object that one group alone keeps.
struct KeptObject {
  uint64_t address = 0, bytes = 0;
  std::vector<uint64_t> allocated_at;  // sampled allocation stack; empty: not sampled
};

struct GroupReach {
  uint64_t exclusive_bytes = 0, exclusive_objects = 0;
  std::vector<KeptObject> large;  // of kLargeBytes and more, heaviest first, max kMostLarge
};

constexpr uint64_t kLargeBytes = 256 << 10;
constexpr size_t kMostLarge = 64;

struct Reach {
  std::vector<GroupReach> groups;  // as given
  GroupReach queued;               // of the objects that were given
  bool finished = true;  // false: the budget ended the walk; sums are of what was reached, low confidence
  uint64_t objects_walked = 0, bytes_read = 0;
  uint64_t stacks_by_map = 0, stacks_by_word = 0;  // how the goroutines' stacks were read
};

class HeapWalk;
// Those of most bytes, with where they were allocated.
void keep_largest(const HeapWalk& walk, std::vector<KeptObject>& objects, size_t most);

// `groups`: indexes into `list.goroutines`. Every goroutine that is in no group counts as a root of its own, like
// globals. `queued`: objects that the runtime alone refers to (finalizers.h), a group of their own.
Reach reach(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans, const GoroutineList& list,
            std::span<const Members> groups, const ReachBudget& budget,
            std::span<const uint64_t> queued = {});

}  // namespace memwhy::goruntime
