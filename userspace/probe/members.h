// SPDX-License-Identifier: Apache-2.0
// Members: which process is on which traced space, as the kernel side keeps it, beside what was told of it. A fork or exec
// whose event found no room in the ring is told here, late: nobody would ever look at that space, whose faults are
// recorded all the same.
//
//   kernel    {4711: 1, 4800: 2, 4801: 3}
//   told      {4711: 1, 4801: 1}              4800 was forked (from whom is not known), 4801 has execed out of space 1
//
// trace() and drain() run on different threads: what changes them holds a lock.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "events/event.h"

namespace memwhy::probe {

class Members {
 public:
  // `map`: file of the map, tgid -> struct mw_member. `lives`: whether this space is still traced.
  Members(int map, std::function<bool(SpaceId)> lives) : map_(map), lives_(std::move(lives)) {}

  // Runs `claim`, and keeps recover() from taking what it claims for something that was lost. none: it failed.
  SpaceId claim(Pid tgid, const std::function<SpaceId()>& claim);
  bool any() const;
  // Forgets a space, on both sides.
  void forget(SpaceId space);
  // An event that was delivered; false: it was told already, by recover().
  bool deliver(const events::Event& event);
  // After a loss: the starts that nobody told.
  std::vector<events::SpaceStart> recover();

 private:
  int map_;
  std::function<bool(SpaceId)> lives_;
  std::mutex mutex_;
  std::unordered_map<Pid, SpaceId> told_;
  std::set<SpaceId> late_;  // told by recover(): their event may still come
};

}  // namespace memwhy::probe
