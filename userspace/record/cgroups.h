// SPDX-License-Identifier: Apache-2.0
// Cgroups: the memory cgroups around the targets, each read once for all of them. Not a process's own memory (readings.h); the
// source finds the cgroup.
//
//   t=1.0  target 1, tick    /pod/web read
//   t=1.2  target 2, tick    /pod/web was read 0.2 s ago
//   t=2.0  target 1, scan    /pod/web read: with a scan it is no older than 0.1 s
#pragma once

#include <map>
#include <string>

#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

constexpr TimeNs kCgroupOfTick = 900'000'000;  // a tick comes each second, or a little early
constexpr TimeNs kCgroupOfRest = 4'900'000'000;
constexpr TimeNs kCgroupOfScan = 100'000'000;
constexpr TimeNs kCgroupOfLastScan = 1'000'000;  // how it ended; of many processes in it each asks
constexpr size_t kCgroupsAtMost = 4096;          // with remembered times; forgetting one costs a reading

class Cgroups {
 public:
  explicit Cgroups(const World& world) : world_(world) {}

  // Unless it was read that recently.
  void read(const std::string& path, TimeNs age);
  // The cgroup that a target is in now; a move is emitted.
  void read(Target& target, TimeNs age);

 private:
  const World& world_;
  std::map<std::string, TimeNs> read_at_;
};

}  // namespace memwhy::record
