// SPDX-License-Identifier: Apache-2.0
// Budget: what the agent itself may cost, kernel side included, and what it gives up to keep to it. A bucket of CPU time that
// fills at the rate of the budget; pure: what was used comes in, a level comes out.
//
//   --budget 0.5% on 4 CPUs: 20 ms of CPU each second; the bucket holds kHolds, 30 s of that, 600 ms
//
//   bucket    level
//   above 0   0 nothing      processes are attached, one at a time
//   below 0   1 sparse       scans and readings of runtimes are four times as far apart; nobody new is attached
//   < -15 s   2 fewer        the processes that are recorded are halved, again every 10 s
//   < -30 s   3 detached     no process is recorded, so that the hooks are off, until the bucket has recovered to 0
//
// So the average holds over some minutes, whatever the load is. Each change of level is told by who acts on it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ids.h"

namespace memwhy::agent {

enum class Level : uint8_t { kNothing, kSparse, kFewer, kDetached };

class Budget {
 public:
  static constexpr double kHolds = 30, kFewerFrom = -15, kDetachedFrom = -30;  // seconds of the budget
  static constexpr TimeNs kHalveEach = 10'000'000'000;

  // `share` of `cpus`.
  Budget(double share, double cpus) : rate_(share * cpus) {}
  void change(double share, double cpus);

  // `used_ns`: of CPU time since the agent started.
  Level at(TimeNs now, uint64_t used_ns);
  Level level() const { return level_; }
  // How many processes may be recorded, of `wanted`.
  size_t most(size_t wanted) const;
  // Of all CPUs of the node, over the last minute or so.
  double ratio(double cpus) const { return recent_ / cpus; }
  double rate() const { return rate_; }
  double seconds_left() const { return seconds_; }  // of the budget; negative: owed

 private:
  double rate_;  // CPU seconds a second
  double seconds_ = kHolds;
  double recent_ = 0;
  Level level_ = Level::kNothing;
  TimeNs last_ = 0, halved_at_ = 0;
  uint64_t used_ = 0;
  unsigned halvings_ = 0;
};

}  // namespace memwhy::agent
