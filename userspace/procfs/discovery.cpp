// SPDX-License-Identifier: Apache-2.0
#include "procfs/discovery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "base/refusals.h"
#include "procfs/process.h"
#include "procfs/text.h"

namespace memwhy::procfs {
namespace {

Error no_such_process(const Root& proc, Pid pid) {
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

}  // namespace

std::vector<std::string> Wanted::described() const {
  std::vector<std::string> what;
  for (const Pid pid : pids) what.push_back(fmt::format("pid {}", pid));
  if (!comm.empty()) what.push_back("comm " + comm);
  if (!cgroup.empty()) what.push_back("cgroup " + cgroup);
  return what;
}

Result<std::vector<Pid>> find_processes(const Root& proc, const Wanted& wanted) {
  std::vector<Pid> found = wanted.pids;
  const auto add = [&found](const std::vector<Pid>& more) {
    for (const Pid pid : more)
      if (std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
  };
  if (!wanted.comm.empty()) add(proc.find_by_comm(wanted.comm));
  if (!wanted.cgroup.empty()) add(proc.find_by_cgroup(wanted.cgroup));
  std::erase(found, static_cast<Pid>(::getpid()));
  if (found.empty()) {
    return Error(
        ErrorCode::kTargetGone,
        fmt::format("there is no process to record: {}; `ps -eo pid,comm,cgroup` lists those that run",
                    fmt::join(wanted.described(), ", ")));
  }
  return found;
}

Status check_process(const Root& proc, Pid pid) {
  const Result<std::string> text = read_file(proc.fd(), fmt::format("{}/stat", pid));
  if (!text && text.error().code() == ErrorCode::kEnvironment)
    return Error(text.error()).with(fmt::format("pid {}", pid));
  const std::optional<Stat> stat = text ? parse_stat(*text) : std::nullopt;
  if (!stat) return no_such_process(proc, pid);
  const std::string name = fmt::format("pid {} ({})", pid, stat->comm);
  if (stat->kernel_thread()) return kernel_thread(name);
  if (stat->parent == static_cast<Pid>(::getpid()) && stat->comm.starts_with("memwhy:")) {
    return Error(ErrorCode::kUsage, name + " reads files for this memwhy: it is not recorded");
  }
  const Fd directory(::openat(proc.fd(), fmt::format("{}", pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (stat->dead() && !(directory && live_thread(directory.get()))) {
    return Error(ErrorCode::kTargetGone,
                 name + " has exited and only waits for its parent: it has no memory any more");
  }
  return {};
}

std::string name_of(const Root& proc, Pid pid) {
  const Result<std::string> text = read_file(proc.fd(), fmt::format("{}/stat", pid));
  const std::optional<Stat> stat = text ? parse_stat(*text) : std::nullopt;
  return stat ? fmt::format("pid {} ({})", pid, stat->comm) : fmt::format("pid {}", pid);
}

}  // namespace memwhy::procfs
