// SPDX-License-Identifier: Apache-2.0
// How a group of goroutines is judged: by where it waits, since when, and whether it grows. goroutine-leak reports the worst
// group, goroutines those that are fine.
#pragma once

#include "explain/go/groups.h"

namespace memwhy::explain {

constexpr uint64_t kManyGoroutines = 100;

enum class Standing : uint8_t {
  kSilent,
  kExplains,  // holds much, and is no leak as far as can be seen
  kHolds,     // a problem: blocked for long in a state that is never idling
  kGrew,      // a problem: more of them all the time, by the judge of all growth (growth.h)
};

// Waits where an idle worker, a server, or a main that waits for its workers waits as well.
bool idles(const GroupStory& group);
// In number or in weight, by the judge of all growth (growth.h).
bool grew(const GroupStory& group);
// threshold: bytes that make a problem.
Standing standing_of(const GroupStory& group, uint64_t threshold);

}  // namespace memwhy::explain
