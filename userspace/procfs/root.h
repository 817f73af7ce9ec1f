// SPDX-License-Identifier: Apache-2.0
// Root: an opened procfs, from which everything else is reached with openat. Which directory it is, is the
// caller's choice: the host's own, the host's as mounted into a container, or a made-up one in a test.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "procfs/text.h"

namespace memwhy::procfs {

// The whole of a small file below `dir`, max `limit` bytes. Errors keep errno in the code: ENOENT and
// ESRCH are kTargetGone; EACCES, EPERM and those for lack of room (EMFILE, ENFILE, ENOMEM) are kEnvironment; the
// rest kInternal.
Result<std::string> read_file(int dir, const std::string& name, size_t limit = size_t{1} << 20);

// Of an open statm, as it is now; nullopt: its process is gone.
std::optional<Statm> read_statm(int file);

// The text of a symbolic link below `dir`.
Result<std::string> read_link(int dir, const std::string& name);

// errno, for something below a process's directory.
ErrorCode code_of_errno(int err);

class Root {
 public:
  static Result<Root> open(const std::string& path);

  int fd() const { return dir_.get(); }
  // Are the pids of this procfs the ones that system calls of this process take?
  bool own_namespace() const { return own_namespace_; }
  // Are they the ones that the kernel itself counts in, and so what is traced there? Not in a container's own procfs.
  bool host_namespace() const { return host_namespace_; }
  std::vector<Pid> pids() const;  // thread-group ids, ascending

  // Processes with this comm (the kernel keeps 15 bytes of it).
  std::vector<Pid> find_by_comm(std::string_view comm) const;
  // Processes in the memory cgroup `path`, or in one below it.
  std::vector<Pid> find_by_cgroup(std::string_view path) const;
  // Processes that `pid` means in a pid namespace below this one.
  std::vector<Pid> find_by_nested_pid(Pid pid) const;

  // This machine, for the head of a recording; what only the caller knows is left empty.
  events::RecordingInfo host() const;

 private:
  Root(Fd dir, bool own_namespace, bool host_namespace)
      : dir_(std::move(dir)), own_namespace_(own_namespace), host_namespace_(host_namespace) {}
  std::vector<Pid> find(const std::function<bool(const std::string& directory)>& matches) const;

  Fd dir_;
  bool own_namespace_ = false, host_namespace_ = false;
};

}  // namespace memwhy::procfs
