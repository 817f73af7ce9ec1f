// SPDX-License-Identifier: Apache-2.0
// StackTable: slots of the kernel side's stack table -> StackIds of the recording.
//
// A slot is a place, reused when nothing names its stack any more; a StackId stands for one chain of frames for
// ever:
//
//   slot 0x0beef, hash 0xbeef... -> StackId 9      freed, taken by hash 0x77aa... -> StackId 31
//   slot 0x01234, hash 0xbeef... -> StackId 9      (the same stack came back in another slot)
//
// Address spaces may share a stack: forks, or two instances of a program that is always loaded at the same place.
// It is told once for each of them, with the same id, because a name is a name in one space only:
//
//   fork 2 of space 1 comes through slot 0x0beef  ->  Stack { 9, space 1, .. }  then  Stack { 9, space 2, .. }
//
// Of stacks that no slot holds, the ids are kept of those that were let go last, as many as there are slots.
// One that comes back later is told anew, with a new id.
//
// Freeing a slot takes three passes, because programs that have found it may be about to write it into an
// entry: unnamed, unnamed again -> TOMB (no longer found), still unnamed -> EMPTY.
#pragma once

#include <atomic>
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

namespace memwhy::probe {

class StackTable {
 public:
  // The arrays are shared with the kernel and outlive this. `freed` hears of each slot that is given back.
  StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots, std::function<void(uint32_t)> freed = {});

  // The id of the stack in `slot` (or MW_ENTRY_STACK_*); one that was not told for this space yet is added to `fresh`.
  // nullopt: it is being written at this moment.
  std::optional<StackId> resolve(uint32_t slot, SpaceId space, std::vector<events::Stack>& fresh);

  // It was told for this space and found no room on its way: its slot stays until resend() has told it again.
  void lost(StackId id, SpaceId space);
  // Tells again, with the same ids and for the same spaces, what was lost since the last call.
  void resend(std::vector<events::Stack>& out);

  // The space ended: what it was told need not be remembered.
  void forget(SpaceId space);
  size_t shared() const;  // stacks that are remembered as told for one more space

  // One pass: `named[slot]` is true for each slot that some entry or undrained event may name.
  void sweep(const std::vector<bool>& named);
  bool has_tombs() const { return tombs_ > 0; }
  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }
  uint32_t slots() const { return slots_; }

 private:
  struct Slot {
    uint64_t hash = 0;  // that `id` stands for
    StackId id{};
    SpaceId space{};    // for which it was told last
    uint64_t tomb = 0;  // hash that was taken out of the table
    uint8_t idle = 0;   // passes in which nothing named it
  };
  struct Known {
    StackId id{};
    uint32_t slots = 0;   // that hold it
    SpaceId space{};      // for which it was told first
    uint64_t let_go = 0;  // when the last slot was freed, counted in stacks that were let go
  };
  events::Stack stack_in(uint32_t slot, SpaceId space) const;
  bool told(Known& known, SpaceId space);
  void let_go(uint64_t hash);

  mw_u64* hashes_;
  mw_stack* stacks_;
  uint32_t slots_;
  std::function<void(uint32_t)> on_freed_;
  mutable std::mutex mutex_;  // intake resolves stacks of ring events, sampler those of entries
  std::vector<Slot> known_;
  std::unordered_map<uint64_t, Known> ids_;  // by hash
  std::deque<uint64_t> let_go_;              // hashes of what was let go last, the oldest first
  uint64_t let_go_count_ = 0;
  std::unordered_map<SpaceId, std::unordered_set<StackId>>
      shared_;  // told for this space, and for another before
  size_t shared_count_ = 0;
  std::map<StackId, std::set<SpaceId>> lost_;
  uint32_t last_id_ = 0;
  size_t tombs_ = 0;
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
