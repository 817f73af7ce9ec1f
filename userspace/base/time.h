// SPDX-License-Identifier: Apache-2.0
// A clock of the system in nanoseconds, the unit of events and budgets. Code whose time a test must control uses record::Clock
// instead.
#pragma once

#include <time.h>

#include <cstdint>

namespace memwhy {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

inline uint64_t clock_ns(clockid_t which) {
  timespec now{};
  ::clock_gettime(which, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace memwhy
