// SPDX-License-Identifier: Apache-2.0
// Allowance: how much CPU time may go into work of which a target decides the amount: `free_ns` at once, and in the long run
// one part in `share` of a CPU. Time spent beyond that is paid for by waiting; nothing is refused here.
//
//   free 1 s, share 10:   1.5 s are spent at once  ->  due() is 5 s from then
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/ids.h"

namespace memwhy::record {

class Allowance {
 public:
  Allowance(uint64_t free_ns, uint64_t share) : free_ns_(free_ns), share_(share) {}

  void spend(TimeNs now, uint64_t cpu_ns) { paid_at_ = std::max(paid_at_, now) + cpu_ns * share_; }
  // When more may be spent.
  TimeNs due() const { return paid_at_ < free_ns_ * share_ ? 0 : paid_at_ - free_ns_ * share_; }
  bool allows(TimeNs now) const { return due() <= now; }

 private:
  uint64_t free_ns_, share_;
  TimeNs paid_at_ = 0;
};

}  // namespace memwhy::record
