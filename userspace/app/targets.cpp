// SPDX-License-Identifier: Apache-2.0
#include "app/targets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "base/fd.h"
#include "base/machine.h"
#include "procfs/text.h"

namespace memwhy::app {
namespace {

// "" when the executable cannot be read, or is a script.
std::string machine_of(int folder, const std::string& path) {
  const Fd exe(::openat(folder, path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 20> header{};
  if (!exe || ::pread(exe.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
    return {};
  return procfs::elf_class({header.data(), header.size()});
}

Status check_machine(const std::string& name, const std::string& machine) {
  if (machine.empty() || machine == machine::kName) return {};
  return Error(ErrorCode::kEnvironment,
               fmt::format("{} is a program for {}: this memwhy can record programs for {} only", name,
                           machine, machine::kName));
}

}  // namespace

Status Targets::check() const {
  const int kinds = static_cast<int>(!pids.empty()) + static_cast<int>(!comm.empty()) +
                    static_cast<int>(!cgroup.empty()) + static_cast<int>(!command.empty());
  if (kinds == 0) {
    return Error(ErrorCode::kUsage, "say what to record: -p PID, --comm NAME, --cgroup PATH, or -- COMMAND");
  }
  if (kinds > 1) {
    return Error(ErrorCode::kUsage, "say only one of -p PID, --comm NAME, --cgroup PATH and -- COMMAND");
  }
  for (const Pid pid : pids) {
    if (pid <= 0) return Error(ErrorCode::kUsage, fmt::format("-p {}: not a process number", pid));
  }
  return {};
}

std::vector<std::string> Targets::described() const {
  std::vector<std::string> what = Wanted::described();
  if (!command.empty()) what.push_back("command " + command.front());
  return what;
}

std::string Targets::short_name() const {
  std::string name = !pids.empty()     ? fmt::format("{}", pids.front())
                     : !comm.empty()   ? comm
                     : !cgroup.empty() ? cgroup
                                       : command.front();
  name = name.substr(name.find_last_of('/') + 1);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; }, '_');
  return name.empty() ? "root" : name;
}

CLI::Option* add_pid_option(CLI::App& command, Targets& targets) {
  return command.add_option("-p,--pid", targets.pids, "the process, by its pid on the host")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PID");
}

void add_cgroup_option(CLI::App& command, Targets& targets) {
  command
      .add_option(
          "--cgroup", targets.cgroup,
          "all processes of a container, also those that come later: a cgroup's path, a systemd unit, or "
          "a container's id (12 digits or more)")
      ->type_name("PATH|UNIT|CONTAINER");
}

void add_target_options(CLI::App& command, Targets& targets) {
  command.add_option("-p,--pid", targets.pids, "these processes: host pids, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PID[,PID…]");
  command.add_option("--comm", targets.comm, "all processes of this name (comm), also those that come later")
      ->type_name("NAME");
  add_cgroup_option(command, targets);
  command.add_flag("--follow", targets.follow, "record the children of the processes too");
}

Status check_command(const std::string& program) {
  if (program.find('/') != std::string::npos) return check_machine(program, machine_of(AT_FDCWD, program));
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string found = (folder.empty() ? "." : folder) + "/" + program;
    if (::access(found.c_str(), X_OK) == 0) return check_machine(found, machine_of(AT_FDCWD, found));
  }
  return {};
}

}  // namespace memwhy::app
