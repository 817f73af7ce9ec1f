// SPDX-License-Identifier: Apache-2.0
// Groups of goroutines: those with the same stack, wait reason and creation site. Not what a group keeps (reach.h), nor how it is
// reported (go_process.cpp).
#pragma once

#include <cstddef>
#include <vector>

#include "goruntime/goroutines.h"

namespace memwhy::goruntime {

struct Groups {
  std::vector<std::vector<size_t>> members;  // indexes into the list; in the order of the first of each
  size_t all = 0;                            // the number of all, including these
};

// Goroutines with the same stack, wait reason and creation site: the groups of most goroutines. The walk takes the others
// for roots: so what one group is found to keep alone stays true. There may be as many groups as goroutines:
//
//   list      a a b b b a c        numbers  0 0 1 1 1 0 2     counts  3 3 1     most = 2:  {0 1 5} {2 3 4}
Groups largest_groups(const std::vector<Goroutine>& list, size_t most);

}  // namespace memwhy::goruntime
