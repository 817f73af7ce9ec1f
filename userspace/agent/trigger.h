// SPDX-License-Identifier: Apache-2.0
// Triggers: what closes a ring into a recording, and how often that may be. Pure: times come in, a verdict comes out.
//
//   12:00:00  growth of api         closed
//   12:03:10  growth of api         suppressed: cool-down (10 min of the same trigger and unit)
//   12:03:11  growth of api         again: not counted
//   12:04:00  oom-kill of api       closed: another trigger
//   12:05:00  growth of 6 others    closed; the seventh within an hour is suppressed: cap
//
// An operator's request is never suppressed. What comes next: recorder.h, which sees the events that fire.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"

namespace memwhy::agent {

enum class Trigger : uint8_t {
  kGrowth,
  kStep,
  kCgroupHigh,
  kCgroupMax,
  kPressure,      // PSI of its cgroup
  kNodePressure,  // and of the node
  kForecast,      // of its limit
  kOomKill,
  kSignal,
  kRequest,
  kFinding
};
constexpr size_t kTriggers = 11;
std::string_view word(Trigger trigger);  // "growth", "cgroup-high" …

struct Firing {
  Trigger trigger{};
  std::string unit;
  TimeNs at = 0;
  std::string sentence;  // "api grew by 64.0 MiB in 5 min"
  Pid pid = 0;           // whom it is about; 0: the unit
};

// kAgain: the same as before within the cool-down, which was counted.
enum class Suppressed : uint8_t { kNo, kCoolDown, kCap, kAgain };

class Gate {
 public:
  static constexpr TimeNs kHour = 3'600'000'000'000;

  Gate(TimeNs cool_down, size_t per_hour) : cool_down_(cool_down), per_hour_(per_hour) {}
  void change(TimeNs cool_down, size_t per_hour) {
    cool_down_ = cool_down;
    per_hour_ = per_hour;
  }
  // kNo: it may go on, and counts from now on.
  Suppressed pass(const Firing& firing);

 private:
  TimeNs cool_down_;
  size_t per_hour_;
  struct Last {
    TimeNs at = 0;
    bool closed = false, suppressed = false;
  };
  std::map<std::pair<Trigger, std::string>, Last> last_;
  std::array<std::deque<TimeNs>, kTriggers> hour_;
};

// Whether a process that was ended by this signal ended by surprise: not as services are stopped.
bool is_surprise(int signal);

}  // namespace memwhy::agent
