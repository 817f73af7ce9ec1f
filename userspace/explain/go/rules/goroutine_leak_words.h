// SPDX-License-Identifier: Apache-2.0
// The words of goroutine-leak: its claim, the evidence for and against it, and the remedy. The judgement comes before:
// goroutine_leak.cpp.
#pragma once

#include "explain/go/groups.h"
#include "explain/rules/rule.h"

namespace memwhy::explain {

// What was judged of the worst group.
struct LeakTold {
  const Case& c;
  const GroupStory& group;
  const Origin& origin;
  uint64_t kept_bytes = 0;    // virtual, shared_bytes among them
  uint64_t shared_bytes = 0;  // that something else may reach too
  bool grew = false;
  bool idle = false;  // it waits where idle workers wait too
};

// `finding.bytes` is known.
void tell_goroutine_leak(const LeakTold& leak, Finding& finding);

}  // namespace memwhy::explain
