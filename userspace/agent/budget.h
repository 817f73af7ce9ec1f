// SPDX-License-Identifier: Apache-2.0
// Budget: what the agent itself may cost, kernel side included, and what it gives up to keep to it. An account of CPU time that
// is paid into at the rate of the budget; pure: what was used comes in, a level and a number of processes come out.
//
//   --budget 0.5% on 4 CPUs: 20 ms of CPU each second; what is not used is saved, up to kSaved, 3 s of that
//
//   account               level
//   saved                 0 nothing     processes are attached, one at a time
//   owes                  0 nothing     nobody new is attached, but each minute one that grows
//   owes for kOwesLong    1 sparse      scans and readings of runtimes are four times as far apart as well,
//                                       and 16 times while 3 s are owed
//   owes 3 s, or spends   2 fewer       as many processes as the budget pays for at what they cost now; one in four more when
//     twice the budget                  there are savings
//   pays for none, or     3 detached    no process is recorded, so that the hooks are off, for 30 s, and up to 60 s for what is owed
//   owes 10 s and spends                or soon after another pause; then one, when it is paid for, or grows
//   twice the budget
//
// What is used now and then, to attach, to scan, for names, to close, is paid for as well. With a small budget it is many times
// what a second may take, so it says nothing of what goes on costing. So a second takes processes, by what it cost besides, only
// in a storm of page faults or where twice the budget lasts. Else a minute does in which nobody came or went, by all of it, where
// both halves took more than the budget; and not the last process.
// Each change is told by who acts on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/ids.h"

namespace memwhy::agent {

enum class Level : uint8_t { kNothing, kSparse, kFewer, kDetached };
constexpr size_t kLevels = 4;

// CPU time since the agent started. Of all, `lumps` is what is used now and then, `hooks` what page faults cost, and of that
// `passing` what they cost however few processes are recorded: the hooks run for the faults of all others too.
struct CpuUsed {
  uint64_t all_ns = 0, lumps_ns = 0, hooks_ns = 0, passing_ns = 0;
};

class Budget {
 public:
  static constexpr double kSaved = 3, kOwesMuch = 3, kOwesTooMuch = 10;  // seconds of the budget
  static constexpr double kFarOver = 2, kStorm = 0.5;
  static constexpr TimeNs kOwesLong = 5'000'000'000;
  static constexpr TimeNs kSettles = 3'000'000'000;  // what fewer processes cost is known then
  static constexpr TimeNs kMeasured = 1'000'000'000, kMeasuredLong = 60'000'000'000;
  static constexpr TimeNs kLasts = 6'000'000'000;
  static constexpr TimeNs kGrowthEach = 60'000'000'000;
  static constexpr TimeNs kFirstPause = 30'000'000'000, kLongestPause = 60'000'000'000;

  // `share` of `cpus`.
  Budget(double share, double cpus) : rate_(share * cpus) {}
  void change(double share, double cpus);

  // Of processes: how many are recorded now, and how many would be.
  struct Processes {
    size_t recorded = 0, wanted = 0;
  };
  Level at(TimeNs now, CpuUsed used, Processes processes);
  Level level() const { return level_; }
  // How many processes may be recorded, of `wanted`.
  size_t most(size_t wanted) const { return wanted < most_ ? wanted : most_; }
  // For attaching another one. What grows is what all of this is for: one each kGrowthEach is attached on credit.
  bool pays() const { return seconds_ >= 0 && level_ != Level::kDetached; }
  bool lends(TimeNs now, TimeNs last_one) const {
    return level_ != Level::kDetached && (last_one == 0 || now >= last_one + kGrowthEach);
  }
  // Scans are so many times as far apart.
  uint64_t pace() const {
    if (seconds_ < -kOwesMuch) return kSparsestPace;
    return seconds_ < 0 || level_ != Level::kNothing ? kSparsePace : 1;
  }
  TimeNs pause_ends() const { return pause_ends_; }  // of kDetached

  // Of all CPUs of the node, over the last minute or so.
  double ratio(double cpus) const { return recent_ / cpus; }
  // The same over the last second, without what is used now and then.
  double ratio_now(double cpus) const { return times_over() * rate_ / cpus; }
  double rate() const { return rate_; }
  double seconds_saved() const { return seconds_; }  // of the budget; negative: owed

 private:
  static constexpr uint64_t kSparsePace = 4, kSparsestPace = 16;

  struct Point {
    TimeNs time = 0;
    uint64_t ns = 0;
  };
  using Points = std::deque<Point>;
  static void add(Points& points, Point point, TimeNs keep);
  double in_budgets(const Point& from, const Point& to) const;
  void charge(TimeNs now, CpuUsed used);
  void note(TimeNs now, CpuUsed used);
  double over(const Points& points) const;
  double times_over() const { return over(steady_); }
  double both_halves(const Points& points, TimeNs time) const;
  bool storms(size_t recorded, double second) const;
  void settle(TimeNs now, Processes processes);
  void shrink(TimeNs now, size_t recorded, double second);
  void pause(TimeNs now);

  double rate_;  // CPU seconds a second
  double seconds_ = kSaved;
  double recent_ = 0;
  Level level_ = Level::kNothing;
  size_t most_ = SIZE_MAX;
  TimeNs last_ = 0, settled_at_ = 0, owes_since_ = 0;
  TimeNs pause_ends_ = 0;
  uint64_t used_ = 0;
  Points steady_, hooks_, passing_;  // of kMeasured
  Points lasting_;                   // as steady_, of kLasts
  Points all_;                       // of kMeasuredLong, since their number changed
  size_t recorded_ = 0;
};

}  // namespace memwhy::agent
