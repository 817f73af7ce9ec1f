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
// An owner's least bytes over all scans: what was there all the time. 0 without scans.
uint64_t least_of(const Case& c, Owner owner);
// Whether that was enough for a problem, in more than one scan.
bool stays(const Case& c, Owner owner);
// In how many scans up to the last it was at least so much: what is so for a moment was given back, or taken again, while it was
// read; what came during the recording can stay, too.
uint64_t scans_with(const Case& c, Owner owner, uint64_t least);
// Whether the version ("go1.26.8") is at least go1.minor.
bool go_at_least(const Case& c, int minor);
// With bytes, growth and owners filled in.
Finding go_finding(const Case& c, std::string id, bool problem, std::initializer_list<Owner> owners);

}  // namespace memwhy::explain
