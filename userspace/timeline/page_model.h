// SPDX-License-Identifier: Apache-2.0
// PageModel: what is known about the pages of one address space, kept up to date by what happens to them.
//
// What it is: the rules for operations: entries of the page fault table come in, removals, moves and MADV_FREE
// invalidate, carry and mark them, a fork copies them. What it is not: residency; that is the scan's, and
// reconciler.h joins the two.
//
// Order. Everything is compared by tick (jiffies, 4 ms at 250 Hz), because the table is read at 1 Hz, after the
// operations of the same second have arrived:
//
//   tick 100  fault of page 7 by s1          |  read at tick 250, as an entry {7, s1, 100}
//   tick 120  mremap page 7 -> page 90       |  received at tick 121   -> the entry is put at page 90
//   tick 140  munmap page 90                 |  received at tick 141   -> and dropped there
//
// So operations are remembered until every older entry has been read, and until a scan has settled what they
// did. Equal ticks are ambiguous: a removal in the tick of an entry spares it (the scan
// tells whether the page is there), a move in the tick of an entry carries it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "events/event.h"
#include "timeline/address_space.h"
#include "timeline/group_table.h"
#include "timeline/page_table.h"
#include "timeline/range_ticks.h"

namespace memwhy::timeline {

using VmaListPtr = std::shared_ptr<const std::vector<events::Vma>>;

class PageModel {
 public:
  static constexpr size_t kMaxMoves = 4096, kMaxGraves = size_t{1} << 16;
  // Of its own, and of what it shares with siblings.
  static constexpr size_t kMaxWaiting = 4096, kMaxWaitingShared = size_t{1} << 20;

  // A word that a removal or a move took away. A scan that began before it may have counted its page.
  struct Grave {
    uint64_t tick;  // of the removal or move
    PageRange pages;
    PageWord word;
  };
  struct ScanTicks {
    uint64_t start = 0;   // of the last complete scan
    uint64_t before = 0;  // of the one before it
    uint64_t count = 0;
  };

  explicit PageModel(StackDictionary& stacks) : stacks_(&stacks) {}

  // Until the first scan everything about a space waits, in order: most children of a fork are never scanned.
  void apply(const events::PageTableRuns& runs);
  // The parent's entries that arrive after the fork: those up to `until` are the child's as well.
  void inherit(std::shared_ptr<const std::vector<events::TableRun>> runs, uint64_t until, uint64_t fork_tick);
  void remove(PageRange range, uint64_t tick);
  void free(PageRange range, uint64_t tick);  // MADV_FREE
  void move(PageRange from, PageRange to, uint64_t tick);
  void lost(uint64_t tick);  // an operation was missed: older entries are in doubt until the next scan
  // For `window` ticks after the fork the parent's entries from before it may arrive.
  void fork_from(PageModel& parent, uint64_t tick, uint64_t window);
  void drop();  // the space ended: no more queries will come

  void settle();                                   // takes in what waits
  void look_at() { settle(), looked_at_ = true; }  // by a scan: from now on nothing waits

  uint64_t as_of() const { return as_of_; }
  uint64_t doubt_tick() const { return std::max(doubt_tick_, removed_.overflow_tick()); }
  const RangeTicks& removed() const { return removed_; }
  const RangeTicks& freed() const { return freed_; }
  const StackDictionary& stacks() const { return *stacks_; }
  StackDictionary& stacks() { return *stacks_; }
  size_t memory_bytes() const;
  // Runs of equal words that operations have visited, and chunks that scans have: their cost, whatever the length of
  // their ranges.
  uint64_t steps() const { return steps_; }

  const PageTable& table() const { return table_; }
  const ScanTicks& scans() const { return scans_; }
  const std::vector<Grave>& graves() const { return graves_; }  // in order of arrival
  const GroupTable& left() const { return left_; }  // resident in the last scan and taken away since
  const VmaListPtr& scan_vmas() const { return scan_vmas_; }  // of the last scan
  const std::shared_ptr<const RuntimeClaims>& scan_runtimes() const { return scan_runtimes_; }

  // From now on what leaves is added up by these limits of age, and before the first scan by these mappings.
  void set_ages(AgeTicks ages) { ages_ = ages; }
  void set_mappings(VmaListPtr vmas) { scan_vmas_ = std::move(vmas); }

  // The reconciler's: it settles words against residency.
  uint64_t relative(uint64_t tick) { return table_.relative(tick); }
  void step() { ++steps_; }
  void keep(uint64_t chunk, const ChunkWords& words) { table_.store(chunk, words); }
  void keep_all(uint64_t chunk, uint64_t count, PageWord word) { table_.fill(chunk, count, word); }
  void note_left(PageRange pages, PageWord word);
  // A pass is reconciled. `left`: what of it was taken away already.
  struct Scanned {
    uint64_t start;         // tick
    uint64_t oldest_grave;  // tick: the next pass needs none that is older
    bool complete;
    VmaListPtr vmas;
    std::shared_ptr<const RuntimeClaims> runtimes;
    GroupTable left;
  };
  void scanned(Scanned pass);
  std::optional<PageEvidence> evidence(PageNumber page);
  // Whether the move of this tick carried the page's content here: false where the mapping grew.
  bool carried(PageNumber page, uint64_t tick) const;

 private:
  // Forgets operations that no entry and no scan will need.
  void trim();
  struct Move {
    PageRange from, to;
    uint64_t tick;
    RangeTicks removed, freed;    // of `from`, as of the move
    std::vector<PageRange> gone;  // of `to`, removed after the move in the same tick
  };
  // A part of an entry on its way through the moves that came after it.
  struct Piece {
    PageRange pages;
    uint64_t since;  // removals up to here spare it: the entry's tick, then that of the last move
    bool lazy, moved;
  };
  // The kernel side takes the tick of a fault a moment before it writes the entry.
  static constexpr uint64_t kEntrySlackTicks = 2;

  // What arrived and waits.
  struct Waiting {
    enum class What : uint8_t { kEntries, kInherited, kRemoved, kFreed, kMoved } what;
    bool restated = false;
    PageRange pages, to;
    uint64_t tick;           // of the operation; kEntries: as_of() before; kInherited: the last that counts
    uint64_t fork_tick = 0;  // kInherited
    std::shared_ptr<const std::vector<events::TableRun>> runs;
  };
  bool wait(Waiting heard, size_t weight);
  void do_remove(PageRange range, uint64_t tick);
  void do_free(PageRange range, uint64_t tick);
  void do_move(PageRange from, PageRange to, uint64_t tick);
  void take_in(const Waiting& heard);
  void take_in(const std::vector<events::TableRun>& runs, bool restated, uint64_t heard);
  void apply_run(const events::TableRun& run, How how, bool known, uint64_t fork_tick);
  void place(const Piece& piece, PageWord word, bool known, uint64_t fork_tick);
  void carry(std::vector<Piece>& pieces, uint64_t tick, PageWord word, bool known);
  void put(PageRange pages, PageWord word, bool known, uint64_t fork_tick);
  bool accepts(PageWord old, PageWord word, bool known, uint64_t fork_tick) const;
  uint64_t unheard_since(uint64_t now) const;
  void bury(PageRange pages, PageWord word, uint64_t tick);

  StackDictionary* stacks_;
  PageTable table_;
  ScanTicks scans_;
  std::vector<Grave> graves_;
  // What `left_` is added up by: the mappings and runtimes of the last scan, and the age limits of now.
  GroupTable left_;
  VmaListPtr scan_vmas_ = std::make_shared<std::vector<events::Vma>>();
  std::shared_ptr<const RuntimeClaims> scan_runtimes_;
  AgeTicks ages_;
  std::vector<Waiting> waiting_;
  size_t waiting_weight_ = 0, shared_weight_ = 0;
  bool looked_at_ = false;
  RangeTicks removed_, freed_;
  std::vector<Move> moves_;
  uint64_t newest_move_ = 0, steps_ = 0;
  uint64_t as_of_ = 0;
  uint64_t inherits_since_ = 0, inherits_until_ = 0;  // of a forked child
  uint64_t doubt_tick_ = 0;
};

// The index of the mapping that holds the page, or kNoVma. `vmas` in order of address.
uint32_t vma_index(const std::vector<events::Vma>& vmas, PageNumber page);

}  // namespace memwhy::timeline
