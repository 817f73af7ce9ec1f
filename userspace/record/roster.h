// SPDX-License-Identifier: Apache-2.0
// Roster: which processes are recorded. A target joins on request (add) or when the kernel reports a child or an exec
// (handle); it leaves when its address space ends, by the kernel's event or, if that was lost, because it can no longer be
// found (check). What is read of it: readings.h. When: schedule.h.
//
//   fork 20 arrives  100 ms later: still there    110 ms later: no exec has arrived  exit arrives
//   target made ───► open: files, identity ─────► confirm: identity, VMAs emitted ─► end: table, names, SpaceEnd
//                    (held back, since it may already be of the exec's successor)
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "record/allowance.h"
#include "record/names.h"
#include "record/notices.h"
#include "record/readings.h"
#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

constexpr TimeNs kOpenForkAfter = 100'000'000;
constexpr TimeNs kConfirmAfter = 110'000'000;  // two looks at the ring, and some
constexpr TimeNs kGrace = 200'000'000;         // for the kernel's word of an end to arrive
constexpr TimeNs kExecTakes =
    30'000'000'000;  // max, from the end of the old space to the start of the new one
// Looking at children for the first time, of all targets together.
constexpr uint64_t kMeetFreeNs = 1'000'000'000, kMeetShare = 10;

class Roster {
 public:
  Roster(const World& world, Targets& targets, Names& names, Readings& readings, Notices& notices)
      : world_(world), targets_(targets), names_(names), readings_(readings), notices_(notices) {}

  // Called once, when the hooks are attached for the first target.
  std::function<void()> on_first = {};

  // It is traced, identified and scanned.
  Result<SpaceId> add(Pid tgid);
  Status remove(Pid tgid);
  void on_start(TimeNs time, const events::SpaceStart& start);
  void on_end(TimeNs time, const events::SpaceEnd& end);
  void on_exit(const events::ProcessExit& exit);
  void on_loss(const events::Loss& loss);

  // Looks at a child for the first time; opens its files.
  void meet(Target& target);
  void open(Target& target);
  // What was read below /proc is certain to belong to it: emit it.
  void confirm(Target& target);
  // A target that could not be read, or about which an event was lost.
  void check(Target& target);
  // The last of a target: its table, which outlives it, and the names of its stacks. `say`: no other event reports the end.
  void end(SpaceId space, std::optional<events::EndWhy> say);
  // Of the CPU time that is allowed for looking at children.
  void spend_on_meeting(TimeNs now, uint64_t cpu_ns) { meeting_.spend(now, cpu_ns); }

  bool had_targets() const { return had_targets_; }
  // There were targets, there are none, and none is on its way from one program to the next: from then on. kNever: not so.
  TimeNs deserted_at() const;

 private:
  void leave(TimeNs time, Target& target);
  void on_share_loss(const events::Loss& loss);
  Error refuse(const Target& target, const std::string& comm);  // of another machine

  const World& world_;
  Targets& targets_;
  Names& names_;
  Readings& readings_;
  Notices& notices_;
  bool had_targets_ = false;
  TimeNs deserted_since_ = 0;
  std::set<Pid> in_exec_;  // their old space has ended, and the event of the next one has not arrived
  Allowance meeting_{kMeetFreeNs, kMeetShare};  // children that are read for the first time
};

}  // namespace memwhy::record
