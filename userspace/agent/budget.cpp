// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
  note(now, used);
}

void Budget::note(TimeNs now, CpuUsed used) {
  add(steady_, {now, used_ - std::min(used_, used.lumps_ns)}, kMeasured);
  add(lasting_, steady_.back(), kLasts);
  add(hooks_, {now, used.hooks_ns}, kMeasured);
  add(passing_, {now, used.passing_ns}, kMeasured);
  add(all_, {now, used_}, kMeasuredLong);
}

void Budget::add(Points& points, Point point, TimeNs keep) {
  while (points.size() > 1 && points[1].time + keep <= point.time) points.pop_front();
  if (!points.empty()) point.ns = std::max(point.ns, points.back().ns);
  points.push_back(point);
}

double Budget::in_budgets(const Point& from, const Point& to) const {
  if (to.time == from.time || rate_ <= 0) return 0;
  return seconds(to.ns - from.ns) / seconds(to.time - from.time) / rate_;
}

// What goes on costing each second, in budgets.
double Budget::over(const Points& points) const {
  return points.empty() ? 0 : in_budgets(points.front(), points.back());
}

// What was spent in the half of it that spent less; 0: so much time is not over yet.
double Budget::both_halves(const Points& points, TimeNs time) const {
  if (points.empty() || points.back().time < points.front().time + time) return 0;
  const TimeNs half = points.front().time + time / 2;
  const auto middle = std::ranges::find_if(points, [&](const Point& each) { return each.time >= half; });
  return std::min(in_budgets(points.front(), *middle), in_budgets(*middle, points.back()));
}

Level Budget::at(TimeNs now, CpuUsed used, Processes processes) {
  if (last_ == 0) {
    last_ = now;
    used_ = used.all_ns;
    note(now, used);
    return level_;
  }
  if (now <= last_) return level_;
  charge(now, used);
  if (std::exchange(recorded_, processes.recorded) != processes.recorded) {
    all_.clear();
    lasting_.clear();
  }
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

// The last one may take all of the budget, and what comes with attaching it is no reason to let it go: what is owed of that is paid
// by those that are not attached.
bool Budget::storms(size_t recorded, double second) const {
  const double lasts = both_halves(lasting_, kLasts);
  if (over(hooks_) <= kStorm && lasts <= kFarOver) return false;
  if (seconds_ < 0 && second > kFarOver) return true;
  return seconds_ < -kOwesMuch && (recorded > 1 ? second > kRoom : lasts > 1);
}

// How many processes there may be from now on, by what the present ones cost.
void Budget::settle(TimeNs now, Processes processes) {
  const double second = times_over(), minute = both_halves(all_, kMeasuredLong);
  if (storms(processes.recorded, second)) {
    shrink(now, std::min(processes.recorded, most_), second);
  } else if (const size_t recorded = std::min(processes.recorded, most_);
             recorded > 1 && seconds_ < -kOwesMuch && minute > 1) {
    // Without a storm the last one costs next to nothing: to look at the others is what takes the rest.
    most_ = std::clamp<size_t>(static_cast<size_t>(static_cast<double>(recorded) * kRoom / minute), 1,
                               recorded - 1);
    settled_at_ = now + kSettles;
  } else if (most_ != SIZE_MAX && seconds_ >= kSaved / 2 && second < kRoom) {
    if (most_ >= processes.wanted) {
      most_ = SIZE_MAX;  // nobody is kept out
    } else if (processes.recorded >= most_) {
      most_ += std::max<size_t>(1, most_ / 4);
      settled_at_ = now + kSettles;
    }
  }
}

void Budget::shrink(TimeNs now, size_t recorded, double second) {
  // Of what has just begun only a part is known; and what is owed is paid soonest by nobody.
  const double room = second > kFarOver ? kRoom / 2 : kRoom;
  const double passing = over(passing_);  // by everybody's faults, however few are recorded
  const auto paid =
      passing >= room || second <= passing
          ? 0
          : static_cast<size_t>(static_cast<double>(recorded) * (room - passing) / (second - passing));
  most_ = std::min(paid, recorded == 0 ? 0 : recorded - 1);
  settled_at_ = now + kSettles;
  if (second > kFarOver && seconds_ < -kOwesTooMuch) most_ = 0;
  if (most_ == 0) pause(now);
}

void Budget::pause(TimeNs now) {
  const bool again = pause_ends_ != 0 && now < pause_ends_ + kForgets;
  // Looking at the processes goes on meanwhile, and may take half.
  const auto owed = static_cast<TimeNs>(std::max(0.0, -seconds_) * 2 * kNsPerSecond);
  pause_ends_ = now + (again ? kLongestPause : std::clamp(owed, kFirstPause, kLongestPause));
}

}  // namespace memwhy::agent
