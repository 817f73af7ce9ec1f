// SPDX-License-Identifier: Apache-2.0
// Teacher: from snapshots to rules in the kernel, one pass after the other.
//
// What it is: for each waiting snapshot, the walk of learner.h over the mappings that the process has now; its rules are
// published, and its whole stack replaces the incomplete one. What it is not: a thread (app/), the tables in the kernel
// (RulesPort). What bounds it: its share of a CPU (kShare); beyond that no snapshots are taken until time makes up for it.
//
//   look    7 snapshots of space 3   mappings read once, 41 rules published, 7 stacks completed      1.3 ms
//   look    none                     nothing                                                        0.01 ms
//
// Rules must not outlive code. The kernel side gets the ranges of code before the mappings are read from which rules are made,
// and the mappings are read again afterwards: changes in between were not yet watched.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "events/event.h"
#include "unwind/learner.h"

namespace memwhy::unwind {

// A snapshot as it comes from the kernel side.
struct Taken {
  SpaceId space{};
  Pid tgid = 0;
  uint32_t generation = 0;  // of the space's code, when it was taken
  uint64_t key = 0;         // the address without a rule, as the kernel side names it
  uint32_t slot = 0;        // of the incomplete stack
  Snapshot snapshot;
  std::optional<uint32_t> unwatched =
      {};  // mapped() of then, if no change of the code would have been noticed
};

// The kernel side's tables, as app/ gives them.
class RulesPort {
 public:
  virtual ~RulesPort() = default;
  // Snapshots that wait, `most` of them together; their bytes are wiped when `use` returns. How many there were.
  virtual size_t take(const std::function<void(std::span<const Taken>)>& use, size_t most) = 0;
  // Rules of code that is gone are given back, and each space may send so many snapshots more.
  virtual void turn(uint32_t snapshots) = 0;
  virtual std::optional<uint32_t> generation(SpaceId space) = 0;  // nullopt: it is traced no more
  virtual uint32_t mapped(SpaceId space) = 0;  // another number: more code was mapped into it
  // `go`: Go's own code, whose return addresses always have frame pointers. `mapped`: of when they were read.
  virtual void watch(SpaceId space, std::span<const AddressRange> code, AddressRange go, uint32_t mapped) = 0;
  // It runs Go's code: stacks may lead to another one.
  virtual void switches_stacks(SpaceId space) = 0;
  // false: the code has changed since `generation`.
  virtual bool publish(SpaceId space, uint32_t generation, std::span<const LearnedRule> rules) = 0;
  // All that can be learned from it is published: another one for the same address would teach no more.
  virtual void looked_at(const Taken& taken) = 0;
  // Rules of these ranges are withdrawn: other code is there now.
  virtual void withdraw(SpaceId space, std::span<const AddressRange> code) = 0;
  virtual void complete(const Taken& taken, std::vector<uint64_t> frames, events::Unwind how) = 0;
};

class Teacher {
 public:
  using MappingsOf = std::function<Result<std::vector<events::Vma>>(Pid)>;
  using Clock = std::function<TimeNs()>;

  // All must outlive it. `work`: what its share is counted by, CPU time where it may have to wait for a CPU; none: the clock.
  Teacher(RulesPort& port, symbols::Binaries& binaries, MappingsOf mappings, Clock clock, Clock work = {},
          MadeCode* made = nullptr)
      : port_(port),
        learner_(binaries, {}, made),
        made_(made),
        mappings_(std::move(mappings)),
        clock_(std::move(clock)),
        work_(work ? std::move(work) : clock_) {}

  // One look. How many snapshots were learned from.
  size_t look();

  struct Totals {
    uint64_t snapshots = 0, rules = 0, completed = 0, stale = 0;
    TimeNs spent_ns = 0;
    uint64_t starved = 0;  // looks that allowed no more snapshots
  };
  const Totals& totals() const { return totals_; }
  size_t spaces() const { return spaces_.size(); }  // whose code is known

  static constexpr uint32_t kSnapshots = 512;  // of one space, for one look
  static constexpr size_t kAtOnce =
      32;  // in one look: the room of those that were learned from is given back soon
  static constexpr TimeNs kCheckAgain =
      500'000'000;  // whether made code is what it was; all of it was: twice as long ...
  static constexpr TimeNs kCheckSeldom = 2'000'000'000;  // ... up to this
  // One eighteenth of a CPU, so that it is below a tenth with what is not counted: waking up, and answers that take longer. What was
  // not used is saved up, and as much is there at the beginning, when all code is new.
  static constexpr TimeNs kShare = 18, kMostSaved = 500'000'000;

 private:
  struct Space {
    Pid tgid = 0;
    bool has_made_code = false;  // of which more than its frame pointer is known
    uint32_t generation = 0;
    Learner::Mappings code;  // executable ones; nullptr: not known
    AddressRange go;         // Go's own
    uint32_t mapped = 0;     // when they were read
    TimeNs read_at = 0;
  };
  void learn(std::span<const Taken> all);
  void learn(const Taken& taken);
  static bool was_there(const Taken& taken, const Space& space);
  void withdraw_made_code(TimeNs now);
  Space* space_of(const Taken& taken, bool again);
  bool read_code(const Taken& taken, Space& space);
  void watch(SpaceId id, const Space& space);
  void forget_ended();

  RulesPort& port_;
  Learner learner_;
  MadeCode* made_;
  MappingsOf mappings_;
  Clock clock_, work_;
  std::unordered_map<SpaceId, Space> spaces_;
  size_t forget_at_ = 0;  // so many of them
  Totals totals_;
  int64_t saved_ns_ = kMostSaved;  // below 0: more than it may
  std::optional<TimeNs> saved_at_;
  TimeNs checked_at_ = 0, check_after_ = kCheckAgain;  // made code
  uint64_t readings_ = 0;                              // of mappings
};

}  // namespace memwhy::unwind
