// SPDX-License-Identifier: Apache-2.0
#include "app/targets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/fd.h"
#include "procfs/process.h"
#include "procfs/text.h"
#include "record/sampler.h"

namespace memwhy::app {
namespace {

Error no_such_process(const procfs::Root& proc, Pid pid) {
  const std::vector<Pid> nested = proc.find_by_nested_pid(pid);
  if (!nested.empty()) {
    return {ErrorCode::kTargetGone,
            fmt::format(
                "no such process on this host: pid {}; in a container that number is pid {} here: try -p {}",
                pid, fmt::join(nested, " or "), nested.front())};
  }
  return {ErrorCode::kTargetGone,
          fmt::format("no such process: pid {}; it may have exited, `ps -e` lists those that run", pid)};
}

std::optional<procfs::Stat> stat_of(const procfs::Root& proc, Pid pid) {
  const Result<std::string> text = procfs::read_file(proc.fd(), fmt::format("{}/stat", pid));
  return text ? procfs::parse_stat(*text) : std::nullopt;
}

// "" when the executable cannot be read, or is a script.
std::string machine_of(int folder, const std::string& path) {
  const Fd exe(::openat(folder, path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 20> header{};
  if (!exe || ::pread(exe.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
    return {};
  return procfs::elf_class({header.data(), header.size()});
}

Status check_machine(const std::string& name, const std::string& machine) {
  if (machine.empty() || machine == record::kMachine) return {};
  return Error(ErrorCode::kEnvironment,
               fmt::format("{} is a program for {}: this memwhy can record programs for {} only", name,
                           machine, record::kMachine));
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
  std::vector<std::string> what;
  what.reserve(pids.size() + 1);
  for (const Pid pid : pids) what.push_back(fmt::format("pid {}", pid));
  if (!comm.empty()) what.push_back("comm " + comm);
  if (!cgroup.empty()) what.push_back("cgroup " + cgroup);
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

void add_target_options(CLI::App& command, Targets& targets) {
  command.add_option("-p,--pid", targets.pids, "these processes: host pids, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PID[,PID…]");
  command.add_option("--comm", targets.comm, "all processes of this name (comm), also those that come later")
      ->type_name("NAME");
  command
      .add_option("--cgroup", targets.cgroup,
                  "all processes in this cgroup, its children, and those that come later")
      ->type_name("PATH");
  command.add_flag("--follow", targets.follow, "record the children of the processes too");
}

std::string cgroup_path(const std::string& text) {
  std::string path = text;
  for (const std::string_view mount :
       {"/sys/fs/cgroup/memory/", "/sys/fs/cgroup/unified/", "/sys/fs/cgroup/"}) {
    if (path.starts_with(mount)) {
      path.erase(0, mount.size() - 1);
      break;
    }
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.starts_with('/') ? path : "/" + path;
}

Result<std::vector<Pid>> find_targets(const procfs::Root& proc, const Targets& targets) {
  std::vector<Pid> found = targets.pids;
  if (!targets.comm.empty()) found = proc.find_by_comm(targets.comm);
  if (!targets.cgroup.empty()) found = proc.find_by_cgroup(cgroup_path(targets.cgroup));
  std::erase(found, static_cast<Pid>(::getpid()));
  if (found.empty()) {
    return Error(
        ErrorCode::kTargetGone,
        fmt::format("there is no process to record: {}; `ps -eo pid,comm,cgroup` lists those that run",
                    fmt::join(targets.described(), ", ")));
  }
  return found;
}

Status check_target(const procfs::Root& proc, Pid pid) {
  const Result<std::string> text = procfs::read_file(proc.fd(), fmt::format("{}/stat", pid));
  if (!text && text.error().code() == ErrorCode::kEnvironment)
    return Error(text.error()).with(fmt::format("pid {}", pid));
  const std::optional<procfs::Stat> stat = text ? procfs::parse_stat(*text) : std::nullopt;
  if (!stat) return no_such_process(proc, pid);
  const std::string name = fmt::format("pid {} ({})", pid, stat->comm);
  if (stat->kernel_thread()) {
    return Error(ErrorCode::kUsage, name + " is a kernel thread: it has no memory of its own to explain");
  }
  if (stat->parent == static_cast<Pid>(::getpid()) && stat->comm.starts_with("memwhy:")) {
    return Error(ErrorCode::kUsage, name + " reads files for this memwhy: it is not recorded");
  }
  const Fd directory(::openat(proc.fd(), fmt::format("{}", pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (stat->dead() && !(directory && procfs::live_thread(directory.get()))) {
    return Error(ErrorCode::kTargetGone,
                 name + " has exited and only waits for its parent: it has no memory any more");
  }
  return {};
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

std::string name_of(const procfs::Root& proc, Pid pid) {
  const std::optional<procfs::Stat> stat = stat_of(proc, pid);
  return stat ? fmt::format("pid {} ({})", pid, stat->comm) : fmt::format("pid {}", pid);
}

}  // namespace memwhy::app
