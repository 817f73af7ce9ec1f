// SPDX-License-Identifier: Apache-2.0
// Opens the files that a process has mapped, as that process sees them.
//
// A path in /proc/PID/maps belongs to another mount namespace, and the file behind it may have been deleted
// or replaced since. So, in this order: the mapping itself (map_files), the executable's link (exe), the path
// below the process's root. The opened file must be the mapping's: a regular file with its inode and
// device.
//
// Opening is not harmless: a FIFO wakes its writer, a watchdog starts, a tape rewinds, and on a FUSE or network file system
// with a silent server it never returns. So each name is first opened without access (O_PATH) and checked, and only a regular
// file is opened for reading, through that descriptor, since the name's target may change in between. All of this belongs in
// a process that may hang (files/).
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "symbols/binaries.h"

namespace memwhy::symbols {

// A file as it was when it was opened.
struct TargetFile {
  Fd fd;
  std::string path;  // as the process sees it
  FileKey key;
};

// By statfs(2): a file system served by something else, a remote server or a process of the target's.
bool is_remote(uint64_t magic);

class TargetFiles {
 public:
  // `proc_root`: a directory descriptor of the proc filesystem of our pid namespace.
  explicit TargetFiles(Fd proc_root) : proc_root_(std::move(proc_root)) {}

  // kTargetGone: no such process; kEnvironment: not permitted; kBadInput: not a regular file, or not the
  // mapping's.
  Result<TargetFile> open_mapping(Pid tgid, const events::Vma& vma) const;
  Result<TargetFile> open_executable(Pid tgid) const;
  // What lies at one of the places where a program's debug information may be. Not yet known to be the program's.
  Result<TargetFile> open_debug_file(Pid tgid, const DebugFilePlace& place) const;
  // The names of code that the process made at run time (code_map.h), written by it or by root: anyone can write to /tmp.
  Result<TargetFile> open_code_map(Pid tgid) const;
  Result<ProbedFile> file_to_probe(const ProcessFile& file) const;
  // statfs(2)'s number of the file system that a mapping's file is on.
  Result<uint64_t> file_system(Pid tgid, const events::Vma& mapping) const;

 private:
  Result<Fd> process(Pid tgid) const;

  Fd proc_root_;
};

}  // namespace memwhy::symbols
