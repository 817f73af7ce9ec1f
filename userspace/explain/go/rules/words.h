// SPDX-License-Identifier: Apache-2.0
// What the rules about Go share: their threshold, their counters, and the shape of their findings.
#pragma once

#include "explain/rules/rule.h"
#include "explain/units.h"

namespace memwhy::explain {

// The runtime's counters at the end; nullptr when its tables were not verified.
const events::GoCounters* go_counters(const Case& c);
// "a goal of 12.0 MiB for the heap", "no goal for the heap (GOGC=off)".
std::string goal_text(const events::GoCounters& counters);
// Collections that ended while memwhy watched, by the runtime's own count.
uint32_t collections_seen(const Case& c);
// For how long an owner has had enough for a problem, up to the last scan: what is so for a moment was given back, or taken again,
// while it was read. What came during the recording stays once it was there for as long as a growth must last.
struct Stay {
  size_t scans = 0;
  uint64_t least_bytes = 0;  // in these; 0 without any
  bool lasts = false;        // all of the recording in more than one scan, or long enough
};
Stay stay_of(const Case& c, Owner owner);
// Whether the version ("go1.26.8") is at least go1.minor.
bool go_at_least(const Case& c, int minor);
// With bytes, growth and owners filled in.
Finding go_finding(const Case& c, std::string id, bool problem, std::initializer_list<Owner> owners);

}  // namespace memwhy::explain
