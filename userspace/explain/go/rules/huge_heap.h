// SPDX-License-Identifier: Apache-2.0
// How much of the memory that Go gave back huge pages make resident: reported by huge-heap where it is enough, and otherwise as
// a part of lazy-free. Not huge pages of stacks (rules/huge_stacks.h).
#pragma once

#include "explain/rules/rule.h"

namespace memwhy::explain {

// The line of memory that was given back and is resident; nullptr: huge pages are not the reason, or make up too little of it.
const LedgerLine* huge_released(const Case& c);

}  // namespace memwhy::explain
