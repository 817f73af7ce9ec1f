// SPDX-License-Identifier: Apache-2.0
// StackTable: slots of the kernel side's stack table -> StackIds of the recording.
//
// A slot is a place, reused when nothing names its stack any more; a StackId stands for one chain of frames for
// ever:
//
//   slot 0x0beef, hash 0xbeef... -> StackId 9      freed, taken by hash 0x77aa... -> StackId 31
//   slot 0x01234, hash 0xbeef... -> StackId 9      (the same stack came back in another slot)
//
// Address spaces may share a stack: forks, or two instances of a program that is always loaded at the same place. Two
// recordings may share a space. A stack is emitted once to each listener (a space, for one port), with the same id: a symbol
// is valid in one space only, and a recording does not know what another has received.
//
//   fork 2 of space 1 comes through slot 0x0beef  ->  Stack { 9, space 1, .. }  then  Stack { 9, space 2, .. }
//   port 2 reads space 1 too                      ->  to port 2: Stack { 9, space 1, .. }
//
// The ids of stacks without a slot are kept for those that were freed last, as many as there are slots.
// One that comes back later is emitted anew, with a new id.
//
// Freeing a slot takes three passes, because programs that have found it may be about to write it into an
// entry: unnamed, unnamed again -> TOMB (no longer found), still unnamed -> EMPTY. So do the nodes of its outer frames
// (stack_nodes.h).
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "memwhy/abi/table.h"
#include "probe/stack_nodes.h"

namespace memwhy::probe {

// A receiver of stacks: an address space, as one port records it.
struct Listener {
  SpaceId space{};
  uint32_t port = 0;
  Listener() = default;
  Listener(SpaceId of_space, uint32_t of_port = 0) : space(of_space), port(of_port) {}  // NOLINT: is one
  auto operator<=>(const Listener&) const = default;
};

class StackTable {
 public:
  // The arrays are shared with the kernel and outlive this. `freed` is called for each slot that is given back.
  // rules: the kernel side walks by unwind rules, and notes how each stack was found. nodes: none in tests of short stacks.
  StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots, std::function<void(uint32_t)> freed = {},
             bool rules = false, StackNodes nodes = StackNodes());

  // The id of the stack in `slot` (or MW_ENTRY_STACK_*); one that this listener was not given yet is added to `fresh`.
  // nullopt: it is being written at this moment.
  std::optional<StackId> resolve(uint32_t slot, Listener listener, std::vector<events::Stack>& fresh);

  // For an incomplete stack in a slot that is now complete, or longer (kStopped): all of its receivers, with what each is to get now.
  std::vector<std::pair<Listener, events::Stack>> complete(uint32_t slot, std::vector<uint64_t> frames,
                                                           events::Unwind how);

  // The listener was given it, and it found no room on its way: its slot stays until resend() has given it again.
  void lost(StackId id, Listener listener);
  // Gives a port again, with the same ids and for the same spaces, what it lost since the last call.
  void resend(uint32_t port, std::vector<events::Stack>& out);

  // The listener is gone: what it was given need not be remembered.
  void forget(Listener listener);
  size_t shared() const;  // stacks that are remembered as given to one more listener

  // One pass: `named[slot]` is true for each slot that some entry or undrained event may name.
  void sweep(const std::vector<bool>& named);
  bool has_tombs() const { return tombs_ > 0 || nodes_.has_tombs(); }
  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }
  uint32_t slots() const { return slots_; }

 private:
  struct Slot {
    uint64_t hash = 0;  // of the stack `id`
    StackId id{};
    Listener listener;  // that was given it last
    uint64_t tomb = 0;  // hash that was taken out of the table
    uint8_t idle = 0;   // passes in which nothing named it
  };
  struct Known {
    StackId id{};
    uint32_t slots = 0;   // that hold it
    Listener listener;    // that was given it first
    uint64_t let_go = 0;  // when the last slot was freed, counted in stacks that were let go
  };
  struct Completion {
    std::vector<uint64_t> frames;
    events::Unwind how{};
    // What one more copy of the stack shows; kStopped: only how it begins. false: nothing that was not known.
    bool add(std::vector<uint64_t> more, events::Unwind by);
  };
  events::Stack stack_in(uint32_t slot, SpaceId space) const;
  bool is_written(uint32_t slot) const;
  void sweep_nodes(bool any_freed);
  bool given(Known& known, Listener listener);
  void let_go(uint64_t hash);

  mw_u64* hashes_;
  mw_stack* stacks_;
  uint32_t slots_;
  bool rules_;
  StackNodes nodes_;
  uint32_t node_passes_ = 0;  // since nodes became free, or may have
  std::function<void(uint32_t)> on_freed_;
  mutable std::mutex mutex_;  // draining resolves stacks of ring events, reading the table those of entries
  std::vector<Slot> known_;
  std::unordered_map<uint64_t, Known> ids_;             // by hash
  std::unordered_map<uint64_t, Completion> completed_;  // by hash, while a slot holds it
  std::deque<uint64_t> let_go_;                         // hashes of what was let go last, the oldest first
  uint64_t let_go_count_ = 0;
  std::map<Listener, std::unordered_set<StackId>> shared_;  // given to this one, and to another before
  size_t shared_count_ = 0;
  std::map<StackId, std::set<Listener>> lost_;
  uint32_t last_id_ = 0;
  size_t tombs_ = 0;
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
