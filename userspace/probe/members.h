// SPDX-License-Identifier: Apache-2.0
// Members: which process is on which traced space, by the kernel side's list, compared with what was passed on. A fork or exec
// whose event had no room in the ring is passed on late, from here: otherwise the new space would never be looked at, although
// its faults are recorded.
//
//   kernel      {4711: 1, 4800: 2 from 1, 4801: 3 from 1}
//   passed on   {4711: 1, 4801: 1}        4800 was forked at an unknown time; 4801 has execed out of space 1
//
// Claims and events come from different threads: changes are made under a lock.
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
  // The kernel's word of a start; false: recover() gave it already.
  bool started(Pid tgid, SpaceId space);
  void exited(Pid tgid, SpaceId space);

  struct Recovered {
    events::SpaceStart start;
    SpaceId from{};  // the space that it comes out of
  };
  // After a loss: the starts that were not passed on.
  std::vector<Recovered> recover();

 private:
  int map_;
  std::function<bool(SpaceId)> lives_;
  std::mutex mutex_;
  std::unordered_map<Pid, SpaceId> passed_;
  std::set<SpaceId> late_;  // given by recover(): their event may still come
};

}  // namespace memwhy::probe
