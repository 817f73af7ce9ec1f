// SPDX-License-Identifier: Apache-2.0
#include "agent/trigger.h"

#include <csignal>
#include <utility>

namespace memwhy::agent {

std::string_view word(Trigger trigger) {
  switch (trigger) {
    case Trigger::kGrowth:
      return "growth";
    case Trigger::kStep:
      return "step";
    case Trigger::kCgroupHigh:
      return "cgroup-high";
    case Trigger::kCgroupMax:
      return "cgroup-max";
    case Trigger::kPressure:
      return "pressure";
    case Trigger::kNodePressure:
      return "node-pressure";
    case Trigger::kForecast:
      return "forecast";
    case Trigger::kOomKill:
      return "oom-kill";
    case Trigger::kSignal:
      return "signal";
    case Trigger::kRequest:
      return "request";
    case Trigger::kFinding:
      break;
  }
  return "finding";
}

Suppressed Gate::pass(const Firing& firing) {
  std::deque<TimeNs>& hour = hour_[static_cast<size_t>(firing.trigger)];
  while (!hour.empty() && hour.front() + kHour <= firing.at) hour.pop_front();
  std::erase_if(last_, [&](const auto& each) { return each.second.at + cool_down_ <= firing.at; });
  const auto [at, fresh] = last_.try_emplace({firing.trigger, firing.unit});
  Last& last = at->second;
  if (fresh) last.at = firing.at;
  if (firing.trigger != Trigger::kRequest) {
    const bool cools = !fresh && last.closed;
    if (cools || hour.size() >= per_hour_) {
      if (std::exchange(last.suppressed, true)) return Suppressed::kAgain;
      return cools ? Suppressed::kCoolDown : Suppressed::kCap;
    }
  }
  last = {firing.at, true, false};
  hour.push_back(firing.at);
  return Suppressed::kNo;
}

bool is_surprise(int signal) {
  return signal != 0 && signal != SIGTERM && signal != SIGINT && signal != SIGHUP && signal != SIGQUIT &&
         signal != SIGPIPE && signal != SIGUSR1 && signal != SIGUSR2 && signal != SIGALRM;
}

}  // namespace memwhy::agent
