// SPDX-License-Identifier: Apache-2.0
// Difference: two explanations side by side, program by program. Each aspect has lines and a rest, and they sum to the
// difference of RSS: by owner and by function the rest is memory without a name, by holder and goroutine group also all
// that is not Go heap, so that it may be larger than the lines and of the other sign.
//
//   web: 300.0 MiB before, 812.0 MiB after                            +512.0 MiB
//     owner     go.heap.live            210.0    690.0                +480.0
//               go.stacks                10.0     40.0                 +30.0
//               (rest)                                                  +2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/whole.h"
#include "explain/compare/totals.h"

namespace memwhy::explain {

struct ChangedLine {
  std::string name;
  uint64_t before = 0, after = 0;
  std::optional<uint64_t> count_before, count_after;  // of goroutines
  int64_t change() const { return minus(after, before); }
};

struct ChangedAspect {
  Aspect aspect{};
  std::vector<ChangedLine> lines;  // most change first, without those that did not change
  int64_t rest = 0;                // Σ change of lines + rest == change of RSS
};

struct ProgramDifference {
  std::string program, program_before;         // the names differ only where each side has but one program
  std::optional<ProgramTotals> before, after;  // absent: that side does not have it
  bool same_build = false;                     // both have one, and it is the same
  std::vector<ChangedAspect> aspects;          // those of which a side knows something
  // Ids of findings with their claims; of the side that has them.
  std::vector<std::pair<std::string, std::string>> problems_new, problems_gone, problems_still;
  uint64_t rss_before() const { return before ? before->rss_bytes : 0; }
  uint64_t rss_after() const { return after ? after->rss_bytes : 0; }
  int64_t rss_change() const { return minus(rss_after(), rss_before()); }
};

// Most change first. Programs are matched by name; where each side has one alone, these two are.
std::vector<ProgramDifference> difference(const Explanation& before, const Explanation& after);

}  // namespace memwhy::explain
