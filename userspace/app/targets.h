// SPDX-License-Identifier: Apache-2.0
// Whom to record: as asked for on the command line, and as processes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "procfs/root.h"

namespace memwhy::app {

struct Targets {
  std::vector<Pid> pids;
  std::string comm;
  std::string cgroup;
  std::vector<std::string> command;  // of our own making
  bool follow = false;

  // kUsage: none, or more than one kind.
  Status check() const;
  // New processes may join: --comm, --cgroup.
  bool open_ended() const { return !comm.empty() || !cgroup.empty(); }
  bool follows_children() const { return follow || !command.empty() || !cgroup.empty(); }
  // For the recording and for people: "pid 4711", "comm web", "cgroup /x", "command ls". Never arguments.
  std::vector<std::string> described() const;
  // For a file name: "4711", "web".
  std::string short_name() const;
};

// -p, --comm, --cgroup, --follow.
void add_target_options(CLI::App& command, Targets& targets);

// The path of a cgroup in its hierarchy, from that or from a directory below the mount ("/sys/fs/cgroup/web"
// -> "/web").
std::string cgroup_path(const std::string& text);

// The processes that --comm and --cgroup name now; for -p those pids. kTargetGone: there is none.
Result<std::vector<Pid>> find_targets(const procfs::Root& proc, const Targets& targets);

// Can this process be recorded at all? kTargetGone: it is not there, or has exited (a pid of a container is
// recognised and the host's suggested). kUsage: a kernel thread. kEnvironment: a program of another
// architecture.
Status check_target(const procfs::Root& proc, Pid pid);
// The same of a command that is to be started, found as a shell finds it; one that is not found says so when it is started.
Status check_command(const std::string& program);

// "pid 4711 (redis-server)".
std::string name_of(const procfs::Root& proc, Pid pid);

}  // namespace memwhy::app
