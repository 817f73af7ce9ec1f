// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#include <algorithm>
#include <cmath>

#include "base/time.h"

namespace memwhy::agent {
namespace {

constexpr double kRecentSeconds = 60;
constexpr unsigned kMostHalvings = 16;

}  // namespace

void Budget::change(double share, double cpus) { rate_ = share * cpus; }

Level Budget::at(TimeNs now, uint64_t used_ns) {
  if (last_ == 0) {
    last_ = now;
    used_ = used_ns;
    return level_;
  }
  const double passed = static_cast<double>(now - last_) / kNsPerSecond;
  // What is extrapolated may be corrected downwards.
  const double used = used_ns > used_ ? static_cast<double>(used_ns - used_) / kNsPerSecond : 0;
  last_ = now;
  used_ = std::max(used_, used_ns);
  if (passed <= 0) return level_;
  const double old = std::exp(-passed / kRecentSeconds);
  recent_ = recent_ * old + used / passed * (1 - old);
  seconds_ = std::min(kHolds, seconds_ + passed - (rate_ > 0 ? used / rate_ : 0));
  if (level_ == Level::kDetached && seconds_ < 0) return level_;
  if (seconds_ < kDetachedFrom) {
    level_ = Level::kDetached;
  } else if (seconds_ < kFewerFrom) {
    if ((level_ != Level::kFewer || now >= halved_at_ + kHalveEach) && halvings_ < kMostHalvings) {
      ++halvings_;
      halved_at_ = now;
    }
    level_ = Level::kFewer;
  } else {
    level_ = seconds_ < 0 ? Level::kSparse : Level::kNothing;
    // One halving is taken back when the bucket is full again.
    if (seconds_ >= kHolds && halvings_ > 0 && now >= halved_at_ + kHalveEach) {
      --halvings_;
      halved_at_ = now;
    }
  }
  return level_;
}

size_t Budget::most(size_t wanted) const {
  if (level_ == Level::kDetached) return 0;
  return halvings_ == 0 ? wanted : std::max<size_t>(1, wanted >> halvings_);
}

}  // namespace memwhy::agent
