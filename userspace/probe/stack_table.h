// SPDX-License-Identifier: Apache-2.0
// StackTable: slots of the kernel side's stack table -> StackIds of the recording.
//
// A slot is a place, reused when nothing names its stack any more; a StackId stands for one chain of frames for
// ever:
//
//   slot 0x0beef, hash 0xbeef... -> StackId 9      freed, taken by hash 0x77aa... -> StackId 31
//   slot 0x01234, hash 0xbeef... -> StackId 9      (the same stack came back in another slot)
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
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "memwhy/abi/table.h"

namespace memwhy::probe {

class StackTable {
 public:
  // The arrays are shared with the kernel and outlive this.
  StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots);

  // The id of the stack in `slot` (or MW_ENTRY_STACK_*); a stack that has none yet is added to `fresh`.
  // nullopt: it is being written at this moment.
  std::optional<StackId> resolve(uint32_t slot, SpaceId space, std::vector<events::Stack>& fresh);

  // It was told and found no room on its way: its slot stays until resend() has told it again.
  void lost(StackId id);
  // Tells again, with the same ids, what was lost since the last call.
  void resend(std::vector<events::Stack>& out);

  // One pass: `named[slot]` is true for each slot that some entry or undrained event may name.
  void sweep(const std::vector<bool>& named);
  bool has_tombs() const { return tombs_ > 0; }
  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }
  uint32_t slots() const { return slots_; }

 private:
  struct Slot {
    uint64_t hash = 0;  // that `id` stands for
    StackId id{};
    SpaceId space{};    // in which it was met first
    uint64_t tomb = 0;  // hash that was taken out of the table
    uint8_t idle = 0;   // passes in which nothing named it
  };
  struct Known {
    StackId id{};
    uint32_t slots = 0;   // that hold it
    uint64_t let_go = 0;  // when the last slot was freed, counted in stacks that were let go
  };
  events::Stack stack_in(uint32_t slot) const;
  void let_go(uint64_t hash);

  mw_u64* hashes_;
  mw_stack* stacks_;
  uint32_t slots_;
  std::mutex mutex_;  // intake resolves stacks of ring events, sampler those of entries
  std::vector<Slot> known_;
  std::unordered_map<uint64_t, Known> ids_;  // by hash
  std::deque<uint64_t> let_go_;              // hashes of what was let go last, the oldest first
  uint64_t let_go_count_ = 0;
  std::unordered_set<StackId> lost_;
  uint32_t last_id_ = 0;
  size_t tombs_ = 0;
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
