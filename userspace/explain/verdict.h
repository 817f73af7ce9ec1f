// SPDX-License-Identifier: Apache-2.0
// Verdict: whether someone should act, as far as was watched. "No problem" is given only if each rule about growth had the
// chance to see one: long enough, without gaps, and over two collections of a collected heap. Part of explanation.h.
//
//   attached for 10 s, the heap at 180 MiB of a goal of 240, 3 MiB/s allocated, no collection seen
//     not seen long enough: no collection was seen, of 2 that show growth; the next is due in about 20 s at this rate; 60 s more
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "explain/finding.h"

namespace memwhy::explain {

struct Case;
struct TrendPoint;

enum class VerdictKind : uint8_t { kProblem, kNoProblem, kNotSeenLongEnough };
constexpr size_t kVerdictKinds = 3;

struct Verdict {
  VerdictKind kind = VerdictKind::kNotSeenLongEnough;
  std::string reason;  // a clause; why it was not long enough, else ""
  std::optional<double>
      seconds_more;  // that would be long enough, at the rates seen; absent: no time would, or unknown
  std::optional<double> watched_seconds;        // absent: no scan was completed
  std::optional<double> seen_from_bytes_per_s;  // no problem: growth from here on would have been one
};

// `findings`: of the same case. `rss`: anonymous bytes by the kernel's counter, beside the scans; may be empty.
Verdict verdict_of(const Case& c, const std::vector<Finding>& findings, const std::vector<TrendPoint>& rss);

}  // namespace memwhy::explain
