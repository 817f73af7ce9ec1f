// SPDX-License-Identifier: Apache-2.0
// HookTime: what the kernel's programs take, from the windows in which they are watched (probe/run_time.h). Each window stands for
// the time since the one before, so that what was is never counted again.
//
//   coverage at   watched   run time       all
//   1.0 s         50 ms     1 ms           20 ms       1 s like that
//   2.0 s         100 ms    16 ms          320 ms      15 ms more in 50: a second of 300
//   3.0 s         100 ms    16 ms          320 ms      no window: counted with the next
//
// Of page faults it keeps how often the programs ran as well: they run for each fault of the machine, and pass by those of
// processes that are not recorded. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "events/recording.h"

namespace memwhy::agent {

class HookTime {
 public:
  // What they take for a fault: of a recorded process, and of any other one. Where nothing may be watched, and to judge what goes on.
  static constexpr uint64_t kOfFaultNs = 500, kOfOtherFaultNs = 60;

  // Cumulative. `now`: since the recording began.
  void see(const events::Coverage& coverage, TimeNs now);

  uint64_t all_ns() const { return watched_ ? static_cast<uint64_t>(ns_) : kOfFaultNs * faults_; }
  // Of page faults, by their number; and of that what it takes however few processes are recorded.
  uint64_t faults_ns() const { return kOfFaultNs * faults_ + passing_ns(); }
  uint64_t passing_ns() const { return kOfOtherFaultNs * static_cast<uint64_t>(runs_); }

 private:
  struct Seen {
    uint64_t runs = 0, run_time_ns = 0, watched_ns = 0;
    TimeNs at = 0;
  };
  std::map<std::string, Seen> programs_;
  double ns_ = 0, runs_ = 0;
  uint64_t faults_ = 0;
  bool watched_ = false;
};

}  // namespace memwhy::agent
