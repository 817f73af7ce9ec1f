// SPDX-License-Identifier: Apache-2.0
// Process: the files below /proc of one process, bound to that process and to the address space that it has
// now.
//
// What it is: everything a page model needs to know from outside, read without stopping the target. What it
// is not: its memory (remote/), its program (symbols/), its runtimes (goruntime/, allocators/).
//
//   directory  /proc/4711          a pid that is used again fails here with ESRCH
//   pidfd                          alive()
//   maps, pagemap          bound to the mm when they are opened: after an exec empty, never another's
//   status                 /proc/4711/status, or task/TID/status once the main thread has left
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "procfs/cgroup.h"
#include "procfs/page_scan.h"
#include "procfs/root.h"
#include "procfs/text.h"

namespace memwhy::procfs {

// A thread of this process (its directory below /proc) that is not dead; the main thread can leave while others go on.
std::optional<Pid> live_thread(int directory);

class Process {
 public:
  // kTargetGone: no such pid (the message names the host's pid when `pid` is one of a container), a kernel
  // thread, or a zombie. kEnvironment: a capability is missing, or we may open no more files, and the message says which. `root` must
  // outlive the process.
  static Result<Process> open(const Root& root, Pid pid);

  Pid pid() const { return pid_; }
  const Fd& directory() const { return directory_; }
  // Is any thread of the process alive? An exec does not end a process.
  bool alive() const;

  // Everything but `space`, `how`, `parent` and `exe_binary`.
  Result<events::SpaceStart> identity();
  // The path of its memory cgroup; "" unknown.
  std::string cgroup_path() const;
  // Everything but `space`.
  Result<events::Counters> counters();
  // nullopt: none, or it is gone. Opened each time: who records many reads it once a second at most, and descriptors are few.
  std::optional<uint64_t> resident_pages();
  // In order of address, not overlapping. kTargetGone: the address space is no longer there (exit or exec).
  Result<std::vector<events::Vma>> vmas();
  // One paced pass over these mappings. Everything but `space` and `scan`.
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas);

  // statfs(2)'s number of the file system that a mapping's file is on. Calling it directly may wait for ever (FUSE, a
  // network), so this room does not: without an answer the mapping's name has to do.
  using FileSystemOf = std::function<std::optional<uint64_t>(const events::Vma&)>;
  void ask_file_systems(FileSystemOf file_system_of) { file_system_of_ = std::move(file_system_of); }

  // For tests: another way or another pace of scanning.
  void scan_with(PageScanner::Method method, ScanPace pace);

 private:
  struct Device {  // the file system of a device, by one mapping of it
    bool shmem = false, hugetlb = false;
  };

  Process(const Root& root, Pid pid) : root_(&root), pid_(pid) {}
  Status bind();
  Result<ProcessStatus> status();
  Result<Stat> stat() const;
  Error error_of(const Error& cause, const std::string& doing) const;
  void classify(std::vector<events::Vma>& vmas);
  std::vector<events::Vma> parents_vmas() const;

  const Root* root_;
  Pid pid_;
  Fd directory_, pidfd_, maps_, pagemap_;
  std::string memory_directory_;  // "" or "task/TID/": where status still has memory
  uint64_t start_ticks_ = 0;
  uint32_t kernel_ = 0, cpus_ = 1;
  std::unique_ptr<CgroupReader> cgroups_;
  FileSystemOf file_system_of_;
  std::unordered_map<uint64_t, Device> devices_;
  PageScanner::Method scan_method_ = PageScanner::Method::kBest;
  ScanPace scan_pace_;
};

}  // namespace memwhy::procfs
