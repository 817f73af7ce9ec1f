// SPDX-License-Identifier: Apache-2.0
// PageTable: the table that the fault programs write, read as differences to what was read before.
//
//   shared   key[77] = space 3 | 0x3f891'a30     table[77].e[5] = stack slot 0x0beef | write | tick 4295213
//   copy     as read last time                   e[5] = 0
//   runs     { page 0x7f12'34605, count 1, stack 9, tick 4295213, write }
//
// Chunks that were not faulted since are not even looked at (tick[77]). Chunks are given back by key -> TOMB,
// a grace period in which every program that had found the chunk ends, zeroes, key -> EMPTY.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
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
  };
  PageTable(Shared shared, StackTable& stacks);

  // Fills out.runs in order of page. `claims`: how many chunks were ever claimed, read before this call.
  void read(SpaceId space, bool restate, uint64_t now_tick, uint64_t claims, events::PageTableRuns& out,
            std::vector<events::Stack>& fresh);

  // mapped: in order of address; nullptr: the space ended. `grace` returns when every program that runs now
  // has ended.
  template <typename Grace>
  void reclaim(SpaceId space, const std::vector<AddressRange>* mapped, uint64_t claims, Grace&& grace) {
    const std::vector<uint32_t> victims = condemn(space, mapped, claims);
    if (victims.empty()) return;
    grace();
    bury(victims);
  }

  // Sets named[slot] for each stack slot that an entry names.
  void mark(std::vector<bool>& named) const;

  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }

 private:
  struct Chunk {       // what is known of a slot
    uint64_t key = 0;  // whose `copy` it is
    std::unique_ptr<mw_chunk> copy;
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
  std::vector<uint32_t> condemn(SpaceId space, const std::vector<AddressRange>* mapped, uint64_t claims);
  void bury(const std::vector<uint32_t>& victims);

  Shared shared_;
  StackTable& stacks_;
  std::vector<Chunk> chunks_;
  std::vector<Indexed> index_;  // in order of key: of space, then of address
  std::optional<uint64_t> indexed_claims_;
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
