// SPDX-License-Identifier: Apache-2.0
// Recorder: the sink of the agent's one session. Gives each event to the rings of the units that it is about, and sees what
// fires a trigger.
//
//   SpaceStart 1 (pid 4711)        expected as "api"        ring api    space 1 -> api
//   PageScan of space 1                                     ring api
//   Stack 9 of space 1             kept (definitions.h)     ring api
//   CgroupMemory /kubepods/pod1    max_events 3 -> 4        rings with a space in it or below; fires cgroup-max (cgroup_watch.h)
//   ProcessExit of space 1         killed by SIGSEGV        ring api;   fires signal
//   HookReport, Coverage, anchors                           all rings, and first in every ring that begins later
//   anything of space 7            nobody expected it       no ring, counted
//
// One session for all units: the kernel runs one program a fault, intake wakes up once, and two children open files. What it
// is not: who is recorded (selection.h), or how a ring becomes a recording (join.h). Any thread may call it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/cgroup_watch.h"
#include "agent/definitions.h"
#include "agent/hook_time.h"
#include "agent/ring.h"
#include "agent/trigger.h"
#include "events/event.h"

namespace memwhy::agent {

// What the events say of a unit beside its ring.
struct RecordedUnit {
  size_t spaces = 0;  // alive
  uint64_t ring_bytes = 0;
  TimeNs from = 0;
  std::optional<uint64_t> cgroup_usage_bytes, cgroup_limit_bytes;
  uint64_t oom_kills = 0;
};

struct RecorderTotals {
  uint64_t faults = 0, lost = 0, no_ring = 0;
  uint64_t bpf_ns = 0;  // of the programs; hook_time.h
  uint64_t faults_ns = 0, passing_ns = 0;
  TimeNs at = 0;  // of these figures
};

class Recorder : public events::EventSink {
 public:
  // Rings are made below `folder`.
  Recorder(std::string folder, RingLimits limits, CgroupRules rules = {});

  // The process will be recorded as part of `unit`. kOutput: there can be no ring.
  Status expect(Pid pid, const std::string& unit);
  // A unit without spaces whose ring nobody needs: it is deleted. false: it is pinned.
  bool drop(const std::string& unit);
  // The process is not recorded any more.
  void forget(Pid pid);
  // A sentence about a moment in which something is not seen: in every recording that reaches back to it.
  void note(TimeNs at, std::string sentence);
  void change(RingLimits limits, CgroupRules rules);  // limits: of rings that begin later
  void leave();                                       // the files of all rings stay

  void on_event(const events::Event& event) override;
  // Each events::kFileTick.
  void tick(TimeNs now);
  // Spaces whose rings have begun to want a restatement since the last call.
  std::vector<SpaceId> to_restate();
  std::vector<SpaceId> spaces_of(const std::string& unit) const;

  std::vector<Firing> take_firings();
  std::vector<Error> take_failures();  // of rings, which are gone
  // The parts of the unit's ring, complete up to now; they stay until release(). Empty: it has none.
  std::vector<std::string> hold(const std::string& unit);
  void release(const std::string& unit);

  std::map<std::string, RecordedUnit> units() const;
  RecorderTotals totals() const;

 private:
  struct Unit {
    std::unique_ptr<Ring> ring;
    bool opened = false;  // it was given what a recording opens with
    bool restating = false;
    size_t spaces = 0;
    std::optional<uint64_t> cgroup_usage_bytes, cgroup_limit_bytes;
    uint64_t oom_kills = 0;
  };
  struct Space {
    std::string unit, cgroup, comm;
    Pid pid = 0;
    bool oom = false;
  };
  Unit* unit_of(SpaceId space);
  void add_spaces(const std::string& unit, std::vector<SpaceId>& to) const;
  void about_recording(const events::Event& event);
  void begin_space(const events::SpaceStart& start);
  void end_space(const events::SpaceEnd& end);
  void define(const events::Event& event);
  void of_cgroup(const events::Event& event, const events::CgroupMemory& memory);
  void watch(const events::Event& event, const Space& space);
  void give(Unit& unit, const events::Event& event);
  void give_hooks(TimeNs at);
  void fire(Trigger trigger, const std::string& unit, TimeNs at, std::string sentence, Pid pid = 0);

  mutable std::mutex mutex_;  // guards all below
  const std::string folder_;
  RingLimits limits_;
  std::map<std::string, Unit> units_;
  std::unordered_map<SpaceId, Space> spaces_;
  std::unordered_map<Pid, std::string> expected_;
  CgroupWatch cgroups_;
  Definitions definitions_;
  // The last of each kind about the recording, and the first anchor: what a ring opens with.
  std::optional<events::Event> info_, first_anchor_, anchor_, hooks_, coverage_;
  events::HookReport plain_hooks_;                    // hooks_ without notes
  std::deque<std::pair<TimeNs, std::string>> notes_;  // no older than a ring
  std::vector<Firing> firings_;
  std::vector<Error> failures_;
  HookTime hook_time_;
  RecorderTotals totals_;
};

}  // namespace memwhy::agent
