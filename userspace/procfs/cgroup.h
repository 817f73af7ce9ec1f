// SPDX-License-Identifier: Apache-2.0
// Memory usage and limit of a cgroup, v1 or v2, wherever the hierarchies are mounted.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "procfs/root.h"
#include "procfs/text.h"

namespace memwhy::procfs {

// Of the level that limits first: the group itself or the ancestor with the smallest limit. usage and limit
// are of the same level, so that their difference is the room that is left.
struct CgroupMemory {
  std::optional<uint64_t> usage_bytes;
  std::optional<uint64_t> limit_bytes;  // absent: no level has a limit
};

class CgroupReader {
 public:
  // Finds the mounts once.
  explicit CgroupReader(const Root& root);
  explicit CgroupReader(std::vector<CgroupMount> mounts) : mounts_(std::move(mounts)) {}

  CgroupMemory memory(const MemoryCgroup& cgroup) const;

 private:
  std::vector<CgroupMount> mounts_;
};

}  // namespace memwhy::procfs
