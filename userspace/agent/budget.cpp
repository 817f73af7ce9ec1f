// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#include <algorithm>
#include <cmath>

#include "base/time.h"

namespace memwhy::agent {
namespace {

constexpr double kRecentSeconds = 60;
constexpr double kRoom = 0.8;      // of the budget: what fewer processes are to take, so that debts are paid
constexpr double kMostOwed = 300;  // seconds of the budget: what can't be held is not owed for ever
constexpr TimeNs kForgets = 600'000'000'000;

double seconds(uint64_t ns) { return static_cast<double>(ns) / kNsPerSecond; }

}  // namespace

void Budget::change(double share, double cpus) {
  const double owed = seconds_ * rate_;
  rate_ = share * cpus;
  seconds_ = rate_ > 0 ? std::clamp(owed / rate_, -kMostOwed, kSaved) : 0;
}

void Budget::charge(TimeNs now, CpuUsed used) {
  const double passed = seconds(now - last_);
  // What is extrapolated may be corrected downwards.
  const double spent = used.all_ns > used_ ? seconds(used.all_ns - used_) : 0;
  last_ = now;
  used_ = std::max(used_, used.all_ns);
  const double old = std::exp(-passed / kRecentSeconds);
  recent_ = recent_ * old + spent / passed * (1 - old);
  seconds_ = std::clamp(seconds_ + passed - (rate_ > 0 ? spent / rate_ : 0), -kMostOwed, kSaved);
  const uint64_t steady = used_ - std::min(used_, used.once_ns);
  while (points_.size() > 1 && points_[1].time + kMeasured <= now) points_.pop_front();
  points_.push_back({now, std::max(steady, points_.empty() ? 0 : points_.back().steady_ns)});
}

// What goes on costing, in budgets.
double Budget::times_over() const {
  if (points_.empty()) return 0;
  const TimeNs passed = points_.back().time - points_.front().time;
  if (passed == 0 || rate_ <= 0) return 0;
  return static_cast<double>(points_.back().steady_ns - points_.front().steady_ns) /
         static_cast<double>(passed) / rate_;
}

Level Budget::at(TimeNs now, CpuUsed used, Processes processes) {
  if (last_ == 0) {
    last_ = now;
    used_ = used.all_ns;
    points_.push_back({now, used.all_ns - std::min(used.all_ns, used.once_ns)});
    return level_;
  }
  if (now <= last_) return level_;
  charge(now, used);
  if (level_ == Level::kDetached) {
    if (now < pause_ends_) return level_;
    most_ = 1;
    settled_at_ = now + kSettles;
  }
  if (seconds_ >= 0) owes_since_ = 0;
  if (seconds_ < 0 && owes_since_ == 0) owes_since_ = now;
  level_ = owes_since_ != 0 && now >= owes_since_ + kOwesLong ? Level::kSparse : Level::kNothing;
  if (now >= settled_at_) settle(now, processes);
  if (most_ != SIZE_MAX) level_ = most_ == 0 ? Level::kDetached : Level::kFewer;
  return level_;
}

// How many processes there may be from now on, by what the present ones cost.
void Budget::settle(TimeNs now, Processes processes) {
  const double over = times_over();
  if ((seconds_ < 0 && over > kFarOver) || (seconds_ < -kOwesMuch && over > kRoom)) {
    shrink(now, std::min(processes.recorded, most_), over);
  } else if (most_ != SIZE_MAX && seconds_ >= kSaved / 2 && over < kRoom) {
    if (most_ >= processes.wanted) {
      most_ = SIZE_MAX;  // nobody is kept out
    } else if (processes.recorded >= most_) {
      most_ += std::max<size_t>(1, most_ / 4);
      settled_at_ = now + kSettles;
    }
  }
}

void Budget::shrink(TimeNs now, size_t recorded, double over) {
  // Of what has just begun only a part is known; and what is owed is paid soonest by nobody.
  const double room = over > kFarOver ? kRoom / 2 : kRoom;
  const auto paid = static_cast<size_t>(static_cast<double>(recorded) * room / over);
  most_ = std::min(paid, recorded == 0 ? 0 : recorded - 1);
  settled_at_ = now + kSettles;
  if (over > kFarOver && seconds_ < -kOwesTooMuch) most_ = 0;
  if (most_ == 0) pause(now);
}

void Budget::pause(TimeNs now) {
  const bool again = pause_ != 0 && now < pause_ends_ + kForgets;
  pause_ = again ? std::min(2 * pause_, kLongestPause) : kFirstPause;
  // Looking at the processes goes on meanwhile, and may take half.
  const auto owed = static_cast<TimeNs>(std::max(0.0, -seconds_) * 2 * kNsPerSecond);
  pause_ends_ = now + std::min(std::max(pause_, owed), kLongestPause);
}

}  // namespace memwhy::agent
