// SPDX-License-Identifier: Apache-2.0
#include "record/cgroups.h"

#include <utility>

namespace memwhy::record {

void Cgroups::read(const std::string& path, TimeNs age) {
  if (path.empty()) return;
  const TimeNs now = world_.clock.now();
  const auto known = read_at_.find(path);
  if (known != read_at_.end() && now < known->second + age) return;
  if (read_at_.size() >= kCgroupsAtMost) read_at_.clear();
  read_at_[path] = now;
  for (events::CgroupMemory& memory : world_.processes.cgroups(path)) world_.tell(std::move(memory));
}

void Cgroups::read(Target& target, TimeNs age) {
  if (!target.readable()) return;
  std::string path = target.source->cgroup_path();
  if (!path.empty() && path != target.told.cgroup && target.told.space != SpaceId::kNone) {
    target.told.cgroup = std::move(path);
    world_.tell(target.told);
  }
  read(target.told.cgroup, age);
}

}  // namespace memwhy::record
