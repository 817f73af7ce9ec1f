// SPDX-License-Identifier: Apache-2.0
// Cgroup watch: what the readings of memory cgroups fire, each second for each cgroup. Pure: readings come in.
//
//   12:00:00  max_events 3, held 300 MiB of 512          nothing: what was before nobody watched
//   12:00:01  max_events 4                               cgroup-max  "hit its limit of 512.0 MiB"
//   12:00:11  tasks waited for 2.3 of the last 10 s      pressure    "its tasks waited for memory 23 % of 10 s"
//   12:05:00  held 460 MiB, +0.5 MiB/s for 5 min         forecast    "its limit of 512.0 MiB is reached in about 2 min"
//
// What goes on fires each time that it is read: how often that closes a ring is trigger.h's.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/trigger.h"
#include "events/cgroup.h"
#include "explain/growth.h"

namespace memwhy::agent {

// How long tasks waited for memory (PSI), as a share of the last seconds.
class Waits {
 public:
  static constexpr TimeNs kOver = 10'000'000'000;

  // `waited_us`: since it was counted. nullopt: not watched for so long.
  std::optional<double> at(TimeNs now, uint64_t waited_us);

 private:
  struct Point {
    TimeNs time = 0;
    uint64_t waited_us = 0;
  };
  std::deque<Point> points_;
};

struct CgroupRules {
  double pressure = 0.1;                // of the time; 0: never
  TimeNs forecast = 1'800'000'000'000;  // how soon a limit is reached; 0: never
  TimeNs window = 300'000'000'000;      // what a forecast looks at
};

class CgroupWatch {
 public:
  struct Fired {
    Trigger trigger{};
    std::string what;  // of the cgroup: "hit its limit of 512.0 MiB"
  };

  explicit CgroupWatch(CgroupRules rules) : rules_(rules) {}
  void change(CgroupRules rules) { rules_ = rules; }

  std::vector<Fired> see(TimeNs now, const events::CgroupMemory& memory);

 private:
  struct Past {
    uint64_t high = 0, max = 0;
    Waits waits;
    std::deque<explain::TrendPoint> held;
    uint64_t limit_bytes = 0;
  };
  std::optional<std::string> limit_comes(TimeNs now, const events::CgroupMemory& memory, Past& past) const;

  CgroupRules rules_;
  std::map<std::string, Past> past_;
};

}  // namespace memwhy::agent
