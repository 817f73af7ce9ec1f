// SPDX-License-Identifier: Apache-2.0
// Young: children that end before they can be read. A shell script, or a storm of forks, starts thousands:
// there is no scan of them, and each would cost memwhy more than it cost itself.
//
// What it is: in a storm, a short wait between intake and the rest for the events of a child that was just
// forked, also of the spaces that it execs into. If it ends in that time, it is only counted; else all of it goes on, in
// order. What it is not: a sampler; children that live longer are not its matter, and it drops none that a signal or the OOM
// killer ended.
//
//   fork 20 -> space 7, exec -> space 8, 30 mmaps, exit 0 after 12 ms      one more short child; spaces 7 and 8 are over
//   fork 21 -> space 9, still there after 100 ms                          passed to the sampler and to the file
//
// The first children (kFreeAtOnce, and some more each second) do not wait: a program with a few of them is recorded whole.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "events/event.h"
#include "events/order.h"

namespace memwhy::record {

constexpr const char* kShortChild = "short_child";  // word of a Loss: children that were only counted
constexpr TimeNs kYoungFor = events::kHeldYoung;    // less than the window in which events are put in order
constexpr uint64_t kFreeAtOnce = 100;               // children that do not wait
constexpr uint64_t kFreePerSecond = 10;             // and as many more
constexpr size_t kMostHeld = size_t{1} << 16;       // events; beyond that the children wait no longer

class Young {
 public:
  using Pass = std::function<void(events::Event)>;
  // `pass` takes what goes on; `over` the spaces that are dropped, so that what the kernel side holds is given
  // back.
  Young(Pass pass, std::function<void(TimeNs, SpaceId)> over)
      : pass_(std::move(pass)), over_(std::move(over)) {}

  void take(events::Event event);
  // Lets go of those that have lived for long enough; all of them at the end.
  void grow_up(TimeNs now);
  void let_all_go();

  uint64_t not_told() const { return not_told_; }  // children since the start
  uint64_t held() const { return held_; }

 private:
  struct Child {
    TimeNs born = 0;
    SpaceId space{};                     // the one that it is on now
    bool ended = false, exited = false;  // that space; the process
    std::vector<SpaceId> spaces;         // all that it was on
    std::vector<events::Event> events;
  };
  using Children = std::unordered_map<Pid, Child>;

  bool starts(events::Event& event);
  bool free(TimeNs now);
  void release(Pid tgid);
  void forget(Pid tgid, TimeNs time);

  Pass pass_;
  std::function<void(TimeNs, SpaceId)> over_;
  Children children_;                          // by tgid
  std::unordered_map<SpaceId, Pid> by_space_;  // of children_
  size_t held_ = 0;
  uint64_t not_told_ = 0;
  double credit_ = kFreeAtOnce;
  TimeNs credit_at_ = 0;
};

}  // namespace memwhy::record
