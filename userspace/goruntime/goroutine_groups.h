// SPDX-License-Identifier: Apache-2.0
// Goroutines that do the same: those with one stack, wait reason and creation site are a group. Not what a group keeps
// (reach.h), nor what is said of it (go_process.cpp).
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
  std::vector<Members>
      members;     // of these indexes; in the order in which the first of each stands in the list
  size_t all = 0;  // how many there are, these included
};

// Goroutines with the same stack, wait reason and creation site: the groups of most goroutines. The walk takes the others
// for roots: so what is said to be kept by one group alone stays true. There may be as many groups as goroutines:
//
//   list      a a b b b a c        numbers  0 0 1 1 1 0 2     counts  3 3 1     most = 2:  0 1 5 | 2 3 4
Groups largest_groups(const GoroutineList& list, size_t most);

// The goroutines that are in none of them.
std::vector<uint32_t> in_no_group(const GoroutineList& list, std::span<const Members> groups);

}  // namespace memwhy::goruntime
