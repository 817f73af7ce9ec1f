// SPDX-License-Identifier: Apache-2.0
// A whole number out of one with fractions, or out of two. What a recording or a process says goes into the computation, so the
// result may be anything: what no whole number can be is the nearest that there is, and what is no number is 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace memwhy {

inline uint64_t whole(double value) {
  constexpr double kEnd = 18446744073709551616.0;  // 2^64
  if (!(value > 0)) return 0;
  return value < kEnd ? static_cast<uint64_t>(value) : std::numeric_limits<uint64_t>::max();
}

inline uint64_t nearest(double value) { return whole(std::round(value)); }

// a - b
inline int64_t minus(uint64_t a, uint64_t b) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  return a >= b ? static_cast<int64_t>(std::min(a - b, kMost))
                : -static_cast<int64_t>(std::min(b - a, kMost));
}

}  // namespace memwhy
