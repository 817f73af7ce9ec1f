// SPDX-License-Identifier: Apache-2.0
// What the kernel counts of one memory cgroup: the container around a process. Of version 1 or 2; what a version or a
// release does not report is absent. Not a process's own memory (Counters), though most of a container is that.
//
//   CgroupMemory { "/kubepods/pod1", version 2, usage 480 MiB of 512 MiB: anon 300, file 150 (shmem 10, reclaimable 138),
//                  kernel 20, sock 2; rest 8 }
//   CgroupMemory { "/kubepods/pod1/web", version 2, usage 300 MiB, no limit ... }    the one above limits it
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace memwhy::events {

// Every byte figure includes the cgroups below. Recorded for each cgroup that a target is in, and for the one above that limits
// it, if any.
struct CgroupMemory {
  std::string path;      // in the hierarchy that limits memory, as SpaceStart::cgroup
  bool unified = false;  // version 2

  uint64_t usage_bytes = 0;
  std::optional<uint64_t> limit_bytes = {};  // absent: it has none
  std::optional<uint64_t> high_bytes =
      {};  // version 2: above it, allocating tasks are slowed down; absent: none
  std::optional<uint64_t> peak_bytes = {};  // of the usage, since the cgroup was made

  // Parts of the usage: anon + file + kernel + sock + what the kernel does not report.
  std::optional<uint64_t> anon_bytes = {}, file_bytes = {}, kernel_bytes = {}, sock_bytes = {};
  // Of file: shmem (tmpfs too) goes to swap or stays; reclaimable is page cache that is neither that nor locked; dirty has to
  // be written first; mapped is in address spaces, shmem included.
  std::optional<uint64_t> shmem_bytes = {}, reclaimable_bytes = {}, dirty_bytes = {}, mapped_bytes = {};
  // Of kernel; version 1 reports none of these.
  std::optional<uint64_t> slab_bytes = {}, slab_reclaimable_bytes = {}, kernel_stack_bytes = {},
                          page_table_bytes = {}, percpu_bytes = {}, vmalloc_bytes = {};
  std::optional<uint64_t> swap_bytes = {}, swap_limit_bytes = {};  // beside the usage

  // How often, since the cgroup was made. Version 1 counts max and oom kills. max: the limit was
  // hit, and mostly reclaim made room; oom: it did not; oom kills: of its processes, whoever ran out of memory.
  std::optional<uint64_t> high_events = {}, max_events = {}, oom_events = {}, oom_kills = {};
  // PSI: how long some, and all, of its tasks waited for memory, since it was made. Version 2.
  std::optional<uint64_t> waited_some_us = {}, waited_full_us = {};

  // The usage that reclaim of page cache can't lower: the part that really approaches a limit.
  uint64_t held_bytes() const { return usage_bytes - std::min(usage_bytes, reclaimable_bytes.value_or(0)); }
  // Negative where the counters were read a moment apart.
  int64_t untold_bytes() const {
    const uint64_t told =
        anon_bytes.value_or(0) + file_bytes.value_or(0) + kernel_bytes.value_or(0) + sock_bytes.value_or(0);
    return static_cast<int64_t>(usage_bytes - told);
  }
  bool operator==(const CgroupMemory&) const = default;
};

}  // namespace memwhy::events
