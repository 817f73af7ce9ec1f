// SPDX-License-Identifier: Apache-2.0
// RuleTable: the unwind rules that the kernel side walks by, and the snapshots of stacks that met an address without one.
//
// What it is: the daemon's half of include/memwhy/abi/unwind.h: publishes rules, removes those whose code is gone, hands out
// snapshots and wipes them, limits how many more are taken. What it is not: the source of rules (userspace/unwind).
//
//   rules[]    (slot 0x9f1, generation 3, return, 7f12'3460'5123) -> STACK 48      kernel: load      daemon: store
//   generation of slot 0x9f1 is 4: its code changed. All keys of generation 3 are swept, 4 is confirmed.
//
// One thread uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "memwhy/abi/counters.h"
#include "memwhy/abi/table.h"
#include "memwhy/abi/unwind.h"

namespace memwhy::probe {

// The registers of a thread at a fault or a call, and its stack from sp on.
struct Snapshot {
  SpaceId space{};
  Pid tgid = 0;
  uint32_t generation = 0;  // of its code, when it was taken
  uint64_t key = 0;         // of the address without a rule
  uint64_t ip = 0, sp = 0, fp = 0;
  bool is_return =
      false;  // `ip` is a return address: of a frame that is too far out to be copied with the first ones
  uint32_t stack = 0;  // slot of the incomplete one, or MW_ENTRY_STACK_*
  uint64_t address =
      0;  // of the first byte: sp, or further up where the first pages of a new frame are absent
  std::span<const std::byte> bytes;
  std::optional<uint32_t>
      unwatched;  // RuleTable::mapped() of then, if no change of the code would have been noticed
};

struct AddressRule {
  uint64_t address = 0;
  bool is_return = false;
  uint32_t rule = 0;  // MW_RULE
  bool operator==(const AddressRule&) const = default;
};

class RuleTable {
 public:
  // Shared with the kernel; outlives this.
  struct Shared {
    mw_rule* rules = nullptr;
    mw_trail* trails = nullptr;
    mw_space_code* code = nullptr;  // of the space in the same slot of spaces
    mw_space* spaces = nullptr;
    uint32_t slots = 0;  // of spaces
    mw_snapshot* snapshots = nullptr;
    uint32_t* snapshots_taken = nullptr;
    uint32_t* code_changes = nullptr;
    mw_u64* asked = nullptr;
    mw_u64* looked_at = nullptr;
    uint64_t factor = 1;  // of the hash of a key
  };
  explicit RuleTable(Shared shared) : shared_(shared) {}

  // Gives back the rules of code that is gone, and allows each space `tokens` more snapshots.
  void turn(uint32_t tokens);

  // The code of a space as it is now. nullopt: it is traced no more.
  std::optional<uint32_t> generation(SpaceId space) const;
  // How often more code was mapped into it since it is traced, or before.
  uint32_t mapped(SpaceId space) const;
  // Where its code is, and Go's own: from now on what takes a part of it away begins a new generation. Before the mappings
  // are read that rules are made by. `mapped`: of when it was read.
  void set_code(SpaceId space, std::span<const AddressRange> executable, AddressRange go_code,
                uint32_t mapped);
  // It runs Go's code, which changes stacks: walks of this space may go on to another one from now on.
  void switches_stacks(SpaceId space);
  // false: the code has changed since `generation`, or the space is gone. What finds no room is counted.
  bool publish(SpaceId space, uint32_t generation, std::span<const AddressRule> rules);

  // All that can be learned from a snapshot of this key is published. If it has no rule even so, no more are sent for it until code
  // changes, or for some time.
  void looked_at(SpaceId space, uint32_t generation, uint64_t key);

  // Rules of addresses in these ranges are no more, and what was found by them.
  void withdraw(SpaceId space, std::span<const AddressRange> code);

  // Snapshots that wait, the oldest first, `most` of them, together; they are wiped when `use` returns. Returns how many there were.
  size_t take(const std::function<void(std::span<const Snapshot>)>& use, size_t most = MW_SNAPSHOTS);

  size_t held() const { return held_; }
  uint64_t refused() const { return refused_; }
  // The maximum that is kept: half of the table, so that a search ends soon; of one space no more than are left.
  static constexpr size_t kMost = MW_RULES / 2;

 private:
  struct Change {  // of the code of the space in a slot
    uint32_t slot = 0, generation = 0;
  };
  std::optional<uint32_t> slot_of(SpaceId space) const;
  std::optional<Snapshot> read(const mw_snapshot& shared) const;
  void sweep(std::span<const Change> changed);
  void remove(mw_rule& rule);
  void forget_trails(uint32_t slot);
  void forget_looked_at();
  mw_rule* rule_of(uint64_t key, mw_rule*& free) const;
  void allow(uint32_t tokens);
  bool is_over(uint64_t key, const std::vector<bool>& changed) const;

  Shared shared_;
  mutable std::unordered_map<SpaceId, uint32_t> slots_;  // where a space was seen last
  size_t held_ = 0;
  std::vector<uint32_t> held_by_ = std::vector<uint32_t>(MW_SPACES);  // by slot
  uint64_t refused_ = 0;
  uint32_t taken_ = 0;    // snapshots, as of the last look that left none
  uint32_t next_ = 0;     // of them, the first that is not looked at yet
  uint32_t changes_ = 0;  // of code
  uint32_t turns_ = 0;
  std::optional<uint32_t> allowed_;  // tokens, with the last turn, and how many snapshots had been taken then
  uint32_t taken_at_turn_ = 0;
};

}  // namespace memwhy::probe
