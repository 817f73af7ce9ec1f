// SPDX-License-Identifier: Apache-2.0
// Opens the files that a process has mapped, as that process sees them.
//
// A path in /proc/PID/maps belongs to another mount namespace, and the file behind it may have been deleted
// or replaced since. So, in this order: the mapping itself (map_files), the executable's link (exe), the path
// below the process's root. Whatever was opened must be the mapping's file: a regular file with its inode and
// device.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"

namespace memwhy::symbols {

// A file as it was when it was opened.
struct TargetFile {
  Fd fd;
  std::string path;  // as the process sees it
  uint64_t device = 0, inode = 0, bytes = 0;
  int64_t modified_ns = 0;
};

class TargetFiles {
 public:
  // `proc_root`: a directory descriptor of the proc filesystem of our pid namespace.
  explicit TargetFiles(Fd proc_root) : proc_root_(std::move(proc_root)) {}

  // kTargetGone: no such process; kEnvironment: not permitted; kBadInput: not a regular file, or not the
  // mapping's.
  Result<TargetFile> open_mapping(Pid tgid, const events::Vma& vma) const;
  Result<TargetFile> open_executable(Pid tgid) const;

 private:
  Result<Fd> process(Pid tgid) const;

  Fd proc_root_;
};

}  // namespace memwhy::symbols
