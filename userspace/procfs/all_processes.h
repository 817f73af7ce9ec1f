// SPDX-License-Identifier: Apache-2.0
// AllProcesses: the resident memory of every process of the machine, by a pass that is cheap enough for each second: no hook, no
// privilege, and of a target only /proc/PID/statm is opened, and stays open.
//
//   4711  fd 5   statm "9500 2600 1100 …"    resident 10.2 MiB, of that 5.9 MiB anonymous (2600 - 1100 pages)
//   4712  -      statm "0 0 0 …"             a kernel thread or a zombie: read again in every fiftieth pass: by then it may be another
//   4713  fd 6   the same five times         read in every fifth pass, until it changes
//   4714  fd 7   the same for 60 passes      read in every fifteenth, for a watcher that wishes so
//
// New processes are looked for in every fifth pass if the last pid in /proc/loadavg has moved (else in every fiftieth). So a
// machine of 1,000 sleeping processes costs 200 reads of 1 us or so a pass, or 67.
//
// What it is not: exact. The kernel sums these counters over its CPUs with an error (events::Counters::error_bytes), and
// pages that processes share are counted in each. What comes next: a recording of a suspicious one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "procfs/root.h"

namespace memwhy::procfs {

struct ProcessMemory {
  Pid pid = 0;
  uint64_t rss_bytes = 0;
  uint64_t anon_bytes = 0;  // no pages of files, no shared memory
  std::optional<double>
      growth_bytes_per_s;  // of anon_bytes, over up to a minute; absent: seen for less than 5 s
};

class AllProcesses {
 public:
  // `most_files`: descriptors that may stay open; of further processes the file is opened each time. `root` must outlive it.
  // `each_of_sleepers`: what has not changed for a minute is read in every so many-th pass.
  AllProcesses(const Root& root, size_t most_files, uint64_t each_of_sleepers = 5)
      : root_(root), most_files_(most_files), each_of_sleepers_(each_of_sleepers) {}

  // Those that have memory of their own, in order of pid. `now`: on CLOCK_MONOTONIC.
  const std::vector<ProcessMemory>& pass(TimeNs now);
  // As it is now; "" when it is gone.
  std::string comm(Pid pid) const;

 private:
  static constexpr TimeNs kStep = 5'000'000'000;
  static constexpr size_t kSteps = 13;  // points of a minute

  // anon_bytes each 5 s, the last minute of them.
  struct Past {
    std::array<uint64_t, kSteps> bytes{};
    std::array<TimeNs, kSteps> times{};
    size_t count = 0;
    void add(TimeNs now, uint64_t anon);
    std::optional<double> growth(TimeNs now, uint64_t anon) const;
  };
  struct Known {
    Pid pid = 0;
    Fd statm;
    uint64_t inode = 0;  // of its file: another process has another one
    bool memory = true;  // false: a kernel thread or a zombie
    uint8_t same = 0;    // passes without a change
    ProcessMemory last;
    Past past;
  };
  bool may_be_new();
  void look_for_new();
  bool read(Known& process);

  const Root& root_;
  const size_t most_files_;
  const uint64_t each_of_sleepers_;
  std::vector<Known> known_;  // by pid
  std::vector<ProcessMemory> result_;
  std::string last_pid_;
  uint64_t passes_ = 0;
  size_t open_ = 0;
};

}  // namespace memwhy::procfs
