// SPDX-License-Identifier: Apache-2.0
// The container around processes, as its memory cgroup counts it: which cgroup limits a process, and what a whole container
// holds. Ids in the names of cgroups: container.h. Findings about it: rules/cgroup_*.cpp.
//
//   usage 480 = anon 300 + page cache 150 + kernel 20 + sockets 2 + not reported by the kernel 8
//   of a requested container: anon 300 = web (pid 7) 280 + worker (pid 9) 30 - 10 (pages that both share count once)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

struct CgroupSummary {
  events::CgroupMemory memory;  // as last recorded
  TimeNs time = 0;              // when
  std::vector<timeline::CgroupPoint> curve;
  // During the recording; absent: the kernel does not count it.
  std::optional<uint64_t> high_events_seen, max_events_seen, oom_events_seen, oom_kills_seen;
  std::optional<uint64_t> waited_some_seen_us;  // some of its tasks, for memory (PSI)
  bool asked_for = false;                       // the recording is of the whole container

  // What is left below the limit; absent: no limit. Reclaim makes more of it: held_room().
  std::optional<uint64_t> room_bytes() const;
  std::optional<uint64_t> held_room_bytes() const;
  // The whole machine's: it belongs to no container.
  bool is_root() const { return memory.path == "/"; }
};

// nullopt: nothing was recorded of it.
std::optional<CgroupSummary> cgroup_of(const timeline::Timeline& timeline, const std::string& path);
// Of the cgroup at `path` and those above it, the one whose limit leaves least room; without any limit, the one at `path`.
std::optional<CgroupSummary> limiting_cgroup(const timeline::Timeline& timeline, const std::string& path);

// What of a process's anonymous memory is its share where others map the same pages, since a fork: each of n has 1/n of them, so
// that the shares of all add up to what the cgroup counts. An estimate, as what is shared is (events::SharedPages).
uint64_t share_of_anon(uint64_t anon_bytes, const std::optional<events::SharedPages>& shared);

struct ContainerProcess {
  Pid pid = 0;
  std::string comm;
  uint64_t anon_share_bytes = 0;                                             // of anon_bytes
  uint64_t anon_bytes = 0, file_bytes = 0, shmem_bytes = 0, swap_bytes = 0;  // by the kernel's counters
};

// A cgroup that was requested by its name.
struct ContainerSummary {
  CgroupSummary own;
  std::optional<CgroupSummary> limits;      // the one above it that limits it; absent: none, or it is itself
  std::vector<ContainerProcess> processes;  // those that are there at the end, largest first
  // Anonymous memory that no process of these has: positive, of others; negative, what several share was counted for each.
  std::optional<int64_t> other_anon_bytes;
};

// nullopt: none was requested, or nothing was recorded of it.
std::optional<ContainerSummary> container_summary(const timeline::Timeline& timeline);

}  // namespace memwhy::explain
