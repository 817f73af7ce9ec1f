// SPDX-License-Identifier: Apache-2.0
// Memory cgroups: what one holds, and the level of it that limits first; version 1 or 2, wherever the hierarchies are mounted.
// The texts: cgroup_text.h.
//
// Paths are as memwhy sees them in /proc/PID/cgroup, whatever namespace the process itself is in. Of all levels from the process's
// own up to the root of the mount, the one with least room (limit - usage) is where allocations fail first:
//
//   /kubepods            limit 60 GiB, usage 20 GiB   room 40 GiB
//   /kubepods/pod1       limit 512 MiB, usage 480     room 32 MiB   ◄ limits
//   /kubepods/pod1/web   no limit, usage 300                        ◄ the process's own
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "events/cgroup.h"
#include "procfs/root.h"
#include "procfs/text.h"

namespace memwhy::procfs {

// Of one level: their difference is the room that is left.
struct CgroupRoom {
  std::string directory;
  std::string path;  // in the hierarchy
  bool unified = false;
  std::optional<uint64_t> usage_bytes;
  std::optional<uint64_t> limit_bytes;  // absent: none
};

class CgroupReader {
 public:
  // Finds the mounts once.
  explicit CgroupReader(const Root& root);
  explicit CgroupReader(std::vector<CgroupMount> mounts);

  // Where the hierarchies are mounted: that which limits memory first.
  const std::vector<CgroupMount>& mounts() const { return mounts_; }
  // Of the level that limits first; without any limit, of the group itself. nullopt: no mount shows it.
  std::optional<CgroupRoom> room(const MemoryCgroup& cgroup) const;
  // All figures of the group, and of the level that limits first if it is another one. Empty: no mount shows it. Without a
  // usage (the root of version 2) there is nothing to return.
  std::vector<events::CgroupMemory> read(const MemoryCgroup& cgroup) const;
  // The version is that of the hierarchy that limits memory here.
  std::vector<events::CgroupMemory> read(const std::string& path) const;

 private:
  std::vector<CgroupRoom> levels(const MemoryCgroup& cgroup) const;

  std::vector<CgroupMount> mounts_;  // version 1 first, and what shows most of a hierarchy
  bool unified_ = true;              // memory is limited by version 2
};

}  // namespace memwhy::procfs
