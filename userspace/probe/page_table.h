// SPDX-License-Identifier: Apache-2.0
// PageTable: the table that the fault programs write, read as differences to what was read before.
//
//   shared   key[77] = space 3 | 0x3f891'a30     table[77].e[5] = stack slot 0x0beef | write | tick 4295213
//   copy     as read last time                   e[5] = 0
//   runs     { page 0x7f12'34605, count 1, stack 9, tick 4295213, write }
//
// Chunks that were not faulted since are not even looked at (tick[77]). Chunks are given back by key -> TOMB,
// a grace period in which every program that had found the chunk ends, zeroes, key -> EMPTY. The grace period
// takes tens of milliseconds: there is one for all spaces that ended meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "memwhy/abi/table.h"
#include "probe/stack_table.h"

namespace memwhy::probe {

class PageTable {
 public:
  // Shared with the kernel; outlives this.
  struct Shared {
    mw_chunk* table = nullptr;
    mw_u64* keys = nullptr;
    uint32_t* ticks = nullptr;
    uint32_t chunks = 0;
    std::function<void(SpaceId)> freed = {};  // hears of each chunk that is given back, if anybody
  };
  PageTable(Shared shared, StackTable& stacks);

  // Fills out.runs in order of page. `claims`: how many chunks were ever claimed, read before this call.
  void read(SpaceId space, bool restate, uint64_t now_tick, uint64_t claims, events::PageTableRuns& out,
            std::vector<events::Stack>& fresh);

  // mapped: in order of address. `grace` returns when every program that runs now has ended.
  template <typename Grace>
  void reclaim(SpaceId space, const std::vector<AddressRange>& mapped, uint64_t claims, Grace&& grace) {
    std::vector<uint32_t> victims;
    condemn(space, &mapped, claims, victims);
    if (victims.empty()) return;
    grace();
    bury(victims);
  }

  // settle() gives its chunks back.
  void end(SpaceId space) { ended_.push_back(space); }
  size_t ended() const { return ended_.size(); }
  // false: there was nothing to give back, and no grace period.
  template <typename Grace>
  bool settle(uint64_t claims, Grace&& grace) {
    if (ended_.empty() && condemned_.empty()) return false;
    for (const SpaceId space : ended_) condemn(space, nullptr, claims, condemned_);
    grace();
    bury(std::exchange(condemned_, {}));
    // A program that had met a space before it ended may have claimed one more: for the next call.
    for (const SpaceId space : std::exchange(ended_, {})) condemn(space, nullptr, claims, condemned_);
    return true;
  }

  // Sets named[slot] for each stack slot that an entry names.
  void mark(std::vector<bool>& named) const;

  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }

 private:
  struct Chunk {       // what is known of a slot
    uint64_t key = 0;  // whose `copy` it is
    std::unique_ptr<mw_chunk> copy;
    SpaceId owner{};           // once its key is gone
    uint64_t read_tick = 0;    // when it was read last
    uint64_t doomed_key = 0;   // outside all mappings at the last reclaim ...
    uint32_t doomed_tick = 0;  // ... with its last fault then
  };
  struct Indexed {
    uint64_t key;
    uint32_t slot;
  };
  void index(uint64_t claims);
  std::vector<Indexed> chunks_of(SpaceId space) const;
  void read_chunk(const Indexed& at, SpaceId space, bool restate, events::PageTableRuns& out,
                  std::vector<events::Stack>& fresh);
  // mapped: nullptr for every chunk of the space.
  void condemn(SpaceId space, const std::vector<AddressRange>* mapped, uint64_t claims,
               std::vector<uint32_t>& victims);
  void bury(const std::vector<uint32_t>& victims);

  Shared shared_;
  StackTable& stacks_;
  std::vector<Chunk> chunks_;
  std::vector<Indexed> index_;  // in order of key: of space, then of address
  std::optional<uint64_t> indexed_claims_;
  std::vector<SpaceId> ended_;       // since the last settle
  std::vector<uint32_t> condemned_;  // slots of theirs, key = TOMB
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
