// SPDX-License-Identifier: Apache-2.0
// PageTable: the page fault table, written by the fault programs, and how its chunks are given back. TableReader
// (table_reader.h) reads it, one for each port.
//
//   shared   key[77] = space 3 | 0x3f891'a30     table[77].e[5] = stack slot 0x0beef | write | tick 4295213
//   lists    of mappings without 0x7f12'3460'0000, two in a row of one port, and no fault there between them
//   back     key[77] = TOMB, grace period, zeroes, key[77] = EMPTY
//
// In the grace period every program that had found the chunk ends. It takes tens of milliseconds, so there is one for all
// spaces that ended since the last.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "memwhy/abi/table.h"
#include "probe/stack_table.h"

namespace memwhy::probe {

// Of a word of chunk_key[].
SpaceId space_of_chunk(uint64_t key);
AddressRange chunk_range(uint64_t key);

class PageTable {
 public:
  // Shared with the kernel; outlives this.
  struct Shared {
    mw_chunk* table = nullptr;
    mw_u64* keys = nullptr;
    uint32_t* ticks = nullptr;
    uint32_t chunks = 0;
    std::function<void(SpaceId)> freed = {};  // called for each chunk that is given back
  };
  PageTable(Shared shared, StackTable& stacks);

  struct Indexed {
    uint64_t key;
    uint32_t slot;
  };
  // Chunks of this space, in order of address. `claims`: how many chunks were ever claimed, read before this call.
  std::vector<Indexed> chunks_of(SpaceId space, uint64_t claims);
  const Shared& shared() const { return shared_; }
  StackTable& stacks() { return stacks_; }

  // A chunk to be given back.
  struct Victim {
    uint32_t slot = 0;
    SpaceId owner{};
    uint64_t key = 0;   // 0: its space has ended
    uint32_t tick = 0;  // of its last fault when that was decided
  };
  // false: it is another's by now.
  bool condemn(Victim victim, std::vector<Victim>& victims);
  void bury(const std::vector<Victim>& victims);

  // settle() gives its chunks back.
  void end(SpaceId space) { ended_.push_back(space); }
  size_t ended() const { return ended_.size(); }
  // false: there was nothing to give back, and no grace period.
  template <typename Grace>
  bool settle(uint64_t claims, Grace&& grace) {
    if (ended_.empty() && condemned_.empty()) return false;
    for (const SpaceId space : ended_) condemn_all(space, claims, condemned_);
    grace();
    bury(std::exchange(condemned_, {}));
    // A program that had met a space before it ended may have claimed one more: for the next call.
    for (const SpaceId space : std::exchange(ended_, {})) condemn_all(space, claims, condemned_);
    return true;
  }

  // Sets named[slot] for each stack slot that an entry names.
  void mark(std::vector<bool>& named) const;

  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }

 private:
  void index(uint64_t claims);
  void condemn_all(SpaceId space, uint64_t claims, std::vector<Victim>& victims);

  Shared shared_;
  StackTable& stacks_;
  std::vector<Indexed> index_;  // in order of key: of space, then of address
  std::optional<uint64_t> indexed_claims_;
  std::vector<SpaceId> ended_;     // since the last settle
  std::vector<Victim> condemned_;  // chunks of theirs, key = TOMB
  std::atomic<uint64_t> freed_{0};
};

}  // namespace memwhy::probe
