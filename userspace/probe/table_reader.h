// SPDX-License-Identifier: Apache-2.0
// TableReader: the page fault table as one port reads it, as differences from its previous reading. Another port's reading of
// the same space changes nothing here.
//
//   shared   key[77] = space 3 | 0x3f891'a30     table[77].e[5] = stack slot 0x0beef | write | tick 4295213
//   copy     as read last time                   e[5] = 0
//   runs     { page 0x7f12'34605, count 1, stack 9, tick 4295213, write }
//
// Chunks without a fault since are not even read (tick[77]). A copy takes 4 KiB, and goes with the space or when its
// slot holds another chunk: of a full table 64 MiB.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "events/event.h"
#include "probe/page_table.h"

namespace memwhy::probe {

class TableReader {
 public:
  TableReader(PageTable& pages, uint32_t port);

  // Fills out.runs in order of page. `claims`: how many chunks were ever claimed, read before this call.
  void read(SpaceId space, bool restate, uint64_t now_tick, uint64_t claims, events::PageTableRuns& out,
            std::vector<events::Stack>& fresh);

  // Gives back chunks outside `mapped`, which is in order of address. `grace` returns when every program that runs now has
  // ended.
  template <typename Grace>
  void reclaim(SpaceId space, const std::vector<AddressRange>& mapped, uint64_t claims, Grace&& grace) {
    std::vector<PageTable::Victim> victims;
    condemn(space, mapped, claims, victims);
    if (victims.empty()) return;
    grace();
    pages_.bury(victims);
  }

  // The space is read no more.
  void forget(SpaceId space);
  size_t copies() const { return copies_; }

 private:
  struct Chunk {       // what is known of a slot
    uint64_t key = 0;  // of `copy`
    std::unique_ptr<mw_chunk> copy;
    uint64_t read_tick = 0;    // when it was read last
    uint64_t doomed_key = 0;   // outside all mappings at the last reclaim ...
    uint32_t doomed_tick = 0;  // ... with its last fault then
  };
  void read_chunk(const PageTable::Indexed& at, bool restate, events::PageTableRuns& out,
                  std::vector<events::Stack>& fresh);
  void condemn(SpaceId space, const std::vector<AddressRange>& mapped, uint64_t claims,
               std::vector<PageTable::Victim>& victims);

  PageTable& pages_;
  const uint32_t port_;
  std::vector<Chunk> chunks_;
  std::unordered_set<SpaceId> spaces_;  // of which something is in chunks_
  size_t copies_ = 0;
};

}  // namespace memwhy::probe
