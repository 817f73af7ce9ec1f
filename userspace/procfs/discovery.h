// SPDX-License-Identifier: Apache-2.0
// Which of the requested processes exist, and can each be recorded? The one place that judges a pid, for a command line and for
// anything else that looks for processes.
//
// What it is not: a continuing search; for newcomers, call it again.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "procfs/root.h"

namespace memwhy::procfs {

// Processes by their numbers, by name or by cgroup: each that is not empty adds its own.
struct Wanted {
  std::vector<Pid> pids;
  std::string comm;
  std::string cgroup;  // a path in the hierarchy that limits memory (find_cgroup())

  // "pid 4711", "comm web", "cgroup /x".
  std::vector<std::string> described() const;
  // New processes may join later.
  bool open_ended() const { return !comm.empty() || !cgroup.empty(); }
};

// Those that exist now, without memwhy itself; of pids, all. kTargetGone: none exists.
Result<std::vector<Pid>> find_processes(const Root& proc, const Wanted& wanted);

// Can this process be recorded? kTargetGone: it is not there, or has exited (a pid of a container is recognised and the
// host's suggested). kUsage: never (a kernel thread, a child of memwhy's). kEnvironment: it may not be read.
Status check_process(const Root& proc, Pid pid);

// "pid 4711 (redis-server)".
std::string name_of(const Root& proc, Pid pid);

}  // namespace memwhy::procfs
