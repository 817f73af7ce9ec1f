// SPDX-License-Identifier: Apache-2.0
// Cgroups: the memory cgroups around the targets, each read once for all of them. Not what a process has (readings.h); where
// a cgroup is found is the source's.
//
//   t=1.0  target 1, tick    /pod/web read
//   t=1.2  target 2, tick    /pod/web was read 0.2 s ago
//   t=2.0  target 1, scan    /pod/web read: what goes with a scan is no older than 0.1 s
#pragma once

#include <map>
#include <string>

#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

constexpr TimeNs kCgroupOfTick = 900'000'000;  // a tick comes each second, or a little early
constexpr TimeNs kCgroupOfScan = 100'000'000;
constexpr size_t kCgroupsAtMost = 4096;  // whose times are remembered; forgetting one costs a reading

class Cgroups {
 public:
  explicit Cgroups(const World& world) : world_(world) {}

  // Unless it was read that recently.
  void read(const std::string& path, TimeNs age);
  // That of a target, where it is now; that it moved is told.
  void read(Target& target, TimeNs age);

 private:
  const World& world_;
  std::map<std::string, TimeNs> read_at_;
};

}  // namespace memwhy::record
