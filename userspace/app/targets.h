// SPDX-License-Identifier: Apache-2.0
// What to record, as given on the command line. procfs/discovery.h finds the processes that match.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "procfs/discovery.h"

namespace memwhy::app {

struct Targets : procfs::Wanted {
  std::vector<std::string> command;  // of our own making
  bool follow = false;

  // kUsage: none, or more than one kind.
  Status check() const;
  bool follows_children() const { return follow || !command.empty() || !cgroup.empty(); }
  // For the recording and for people: as Wanted, and "command ls". Never arguments.
  std::vector<std::string> described() const;
  // For a file name: "4711", "web".
  std::string short_name() const;
};

// -p, --comm, --cgroup, --follow.
void add_target_options(CLI::App& command, Targets& targets);
// -p alone, of a command that looks at one process.
CLI::Option* add_pid_option(CLI::App& command, Targets& targets);
// --cgroup alone.
void add_cgroup_option(CLI::App& command, Targets& targets);

// kEnvironment: a program of another architecture. Found as a shell finds it; one that is not found is reported when it is
// started.
Status check_command(const std::string& program);

}  // namespace memwhy::app
