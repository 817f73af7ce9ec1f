// SPDX-License-Identifier: Apache-2.0
// What reading an allocator may cost, the same for each: searches have a limit of their own, readings a share of a CPU. Not
// the share that the recorder gives each runtime (record/), of which an allocator uses half at most.
#pragma once

#include <cstdint>

#include "remote/budget.h"

namespace memwhy::allocators {

constexpr uint64_t kMs = 1'000'000, kMiB = 1 << 20;
constexpr remote::Limits kSearchLimits = {
    .read_bytes = 1024 * kMiB, .kept_bytes = 256 * kMiB, .cpu_ns = 500 * kMs, .time_ns = 2000 * kMs};

// Where only the memory itself can show it: every program is looked at, and hardly any has it.
constexpr remote::Limits kGlanceLimits = {
    .read_bytes = 64 * kMiB, .kept_bytes = 64 * kMiB, .cpu_ns = 25 * kMs, .time_ns = 200 * kMs};

inline uint64_t now_ns() { return remote::BudgetClocks::system().monotonic(); }

// CPU time of what is done in a scope.
class CpuTime {
 public:
  explicit CpuTime(uint64_t& sum) : sum_(sum), begun_(remote::BudgetClocks::system().thread_cpu()) {}
  ~CpuTime() { sum_ += remote::BudgetClocks::system().thread_cpu() - begun_; }
  CpuTime(const CpuTime&) = delete;
  CpuTime& operator=(const CpuTime&) = delete;

 private:
  uint64_t& sum_;
  uint64_t begun_;
};

// Whether what was spent since `first_ns` is less than 1/200 of a CPU, half of what the recorder gives each runtime.
inline bool within_share(uint64_t cpu_ns, uint64_t first_ns) {
  constexpr uint64_t kCpuShare = 200, kCpuFreeNs = 400 * kMs;
  return cpu_ns <= kCpuFreeNs || now_ns() - first_ns >= kCpuShare * (cpu_ns - kCpuFreeNs);
}

}  // namespace memwhy::allocators
