// SPDX-License-Identifier: Apache-2.0
// What a group of goroutines is taken for: by where it waits, since when, and whether it grows. goroutine-leak speaks of the worst,
// goroutines of those that are fine.
#pragma once

#include "explain/go/groups.h"

namespace memwhy::explain {

constexpr uint64_t kManyGoroutines = 100;

enum class Standing : uint8_t {
  kSilent,
  kExplains,  // holds much, and is no leak as far as can be seen
  kHolds,     // a problem: blocked where nobody idles, for long
  kGrew,      // a problem: more of them all the time, by the judge of all growth (growth.h)
};

// Waits where an idle worker, a server, or a main that waits for its workers waits as well.
bool idles(const GroupStory& group);
// In number or in weight, by the judge of all growth (growth.h).
bool grew(const GroupStory& group);
// threshold: bytes that make a problem.
Standing standing_of(const GroupStory& group, uint64_t threshold);

}  // namespace memwhy::explain
