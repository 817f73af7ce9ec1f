// SPDX-License-Identifier: Apache-2.0
// Closers: the agent's children that join and explain rings (agent_answer.h), one at a time; what fired a trigger before what is
// only looked at.
//
//   look at web        runs                      ─► 0.3 s of CPU, its answer
//   close api, growth  waits, then runs first    ─► .closing.17 ─► node7_api_20261129T141500Z_growth.memwhy
//   look at db         waits
#pragma once

#include <sys/types.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "agent/trigger.h"
#include "app/agent_answer.h"
#include "base/fd.h"

namespace memwhy::app {

struct ClosingJob {
  std::string unit, why;
  std::optional<agent::Firing> firing;  // nullopt: only looked at
  std::string output;                   // "-": none
  std::vector<std::string> parts;
  bool holds = true;   // the ring has to be released
  std::string orphan;  // the folder of a ring that an agent left, removed afterwards
};

struct ClosedJob {
  ClosingJob job;
  Result<UnitAnswer> answer;
  uint64_t cpu_ns = 0;
};

class Closers {
 public:
  ~Closers();
  void add(ClosingJob job);
  // Without waiting. One that has ended, if there is one; the next one is started.
  std::optional<ClosedJob> poll(TimeNs now);
  bool idle() const { return pid_ < 0 && waiting_.empty(); }
  size_t waiting() const { return waiting_.size() + (pid_ < 0 ? 0 : 1); }
  // Only what fired a trigger is still closed.
  void drop_looks();
  // The child that runs, or -1, and its CPU time.
  pid_t running() const { return pid_; }
  uint64_t running_cpu_ns() const;

 private:
  static constexpr TimeNs kPatience = 120'000'000'000;

  void start(TimeNs now);
  void kill_running();
  void read_output();

  std::deque<ClosingJob> waiting_;
  std::optional<ClosingJob> running_;
  pid_t pid_ = -1;
  Fd output_;
  std::string text_;
  TimeNs started_ = 0;
};

}  // namespace memwhy::app
