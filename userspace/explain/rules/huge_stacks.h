// SPDX-License-Identifier: Apache-2.0
// What huge pages make resident of stacks that no thread uses: reported by huge-pages, and therefore not by thread-stacks.
// Not what huge pages cover of the Go heap (go/rules/huge_heap.h).
#pragma once

#include "explain/rules/rule.h"

namespace memwhy::explain {

struct HugeStacks {
  uint64_t huge_bytes = 0;    // of thread stacks
  uint64_t used_bytes = 0;    // from each thread's stack pointer to the end of its stack
  uint64_t unused_bytes = 0;  // resident by huge pages alone
};
HugeStacks huge_stacks(const Case& c);

}  // namespace memwhy::explain
