// SPDX-License-Identifier: Apache-2.0
// The processes of the node as agent::Selection wants them: a pass over their memory, and what is known of each by name. The
// cgroup and the name of a process are read when it is first seen, and again while its memory changes: it may exec.
#pragma once

#include <unordered_map>
#include <vector>

#include "agent/selection.h"
#include "agent/unit.h"
#include "procfs/all_processes.h"
#include "procfs/root.h"

namespace memwhy::app {

class AgentProcesses {
 public:
  // `root` must outlive it.
  explicit AgentProcesses(const procfs::Root& root);

  // All but ourselves and our children.
  std::vector<agent::Seen> pass(TimeNs now);
  // CPU time of this process and its children, those that are gone included, but for one that runs.
  uint64_t own_cpu_ns(Pid without) const;
  uint64_t own_rss_bytes() const { return own_rss_bytes_; }

 private:
  struct Known {
    std::string unit, comm, cgroup;
    TimeNs since = 0;
    uint64_t read_at_rss = 0;
    uint64_t pass = 0;  // the last one that had it
    bool ours = false;
  };
  const Known& meet(Pid pid, uint64_t rss_bytes, TimeNs now);
  void read(Pid pid, Known& known);

  const procfs::Root& root_;
  procfs::AllProcesses all_;
  const Pid own_pid_;  // asked once: a pass compares it with that of each process
  agent::ContainerNames names_;
  std::unordered_map<Pid, Known> known_;
  std::vector<Pid> children_;  // of the last pass
  uint64_t passes_ = 0;
  uint64_t own_rss_bytes_ = 0;
};

}  // namespace memwhy::app
