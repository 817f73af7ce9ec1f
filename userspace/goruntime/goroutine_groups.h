// SPDX-License-Identifier: Apache-2.0
// Groups of goroutines: those with the same stack, wait reason and creation site. Not what a group keeps (reach.h), nor how it is
// reported (go_process.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "goruntime/goroutines.h"

namespace memwhy::goruntime {

using Members = std::span<const uint32_t>;  // indexes into the list

struct Groups {
  std::vector<uint32_t> indexes;
  std::vector<Members> members;  // of these indexes; in the order of the first of each in the list
  size_t all = 0;                // the number of all, including these
};

// Goroutines with the same stack, wait reason and creation site: the groups of most goroutines. The walk takes the others
// for roots: so what one group is found to keep alone stays true. There may be as many groups as goroutines:
//
//   list      a a b b b a c        numbers  0 0 1 1 1 0 2     counts  3 3 1     most = 2:  0 1 5 | 2 3 4
Groups largest_groups(const GoroutineList& list, size_t most);

// The goroutines that are in none of them.
std::vector<uint32_t> in_no_group(const GoroutineList& list, std::span<const Members> groups);

// All wait, with a known stack.
bool all_parked(const GoroutineList& list, Members members);

}  // namespace memwhy::goruntime
