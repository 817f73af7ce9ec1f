// SPDX-License-Identifier: Apache-2.0
// Reconciler: one scan against what is known of the pages. The scan shows which pages are resident and is
// always right; the model has the origin, by the best evidence there is; the two become a ScanResult.
//
// What it is: the order of evidence (reconciler_evidence.cpp), and the sums. What it is not: operations between scans (PageModel).
//
//   scan:  page 0x100 present, 0x101 present, 0x102 absent   (file; fault of 0x100 by s9; entry of 0x102)
//     0x100  its own entry           -> kFault s9
//     0x101  in the fault's window   -> kFaultAround s9, remembered: stays so while the page stays
//     0x102  entry, but no page      -> dropped, counted as stale
//
// Chunks of 2 MiB that are alike are processed once, whatever their number: they share one word, one run, mapping, runtime and
// maker.
//
// A paced scan takes time, and may contain pages that were removed after it began: their words come back from
// the graves for this result, and leave in the next.
#pragma once

#include <vector>

#include "timeline/map_sites.h"
#include "timeline/page_model.h"
#include "timeline/tick_clock.h"

namespace memwhy::timeline {

class Reconciler {
 public:
  struct Input {
    const events::PageScan& scan;
    TimeNs time;  // the end of the pass
    std::shared_ptr<const std::vector<events::Vma>> vmas;
    const MapSites& sites;
    const TickClock& clock;
    bool before_attach;                             // pages of the first scan may be older than the recording
    std::shared_ptr<const RuntimeClaims> runtimes;  // of this scan, or null
  };

  Reconciler(PageModel& model, const Input& input);
  ScanResult run();

 private:
  // Neighbouring pages of a chunk that are present, with equal flags and mapping.
  struct Segment {
    uint16_t first, end;
    uint8_t flags;
    uint32_t vma;
    RuntimeUse by;
  };
  // Evidence of a chunk as a whole; found once, when a page needs it.
  struct Around {
    std::array<int16_t, kChunkPages> before,
        after;  // nearest own entry with nothing absent between; -1: none
  };
  // Ticks that a neighbour's fault must have to have brought a page.
  struct Bounds {
    uint64_t low, high;
    uint64_t removed = 0;  // the page's own removal, absolute, where that is what `low` is; 0: it is not
  };

  void read_runs(uint64_t chunk);
  uint64_t next_chunk() const;
  uint64_t alike(uint64_t chunk);
  void process(uint64_t chunk);
  void exhume();
  // What is known of a page that has no entry of its own.
  struct Derived {
    PageWord word;
    bool gone;  // of a life that ended since the scan began: it counts in this result alone
  };
  Derived derive(uint16_t page, const Segment& segment);
  Bounds bounds(PageWord old) const;
  bool counted_before(uint16_t page, uint64_t removed) const;
  PageWord departed(uint16_t page, const Segment& segment, Bounds first);
  PageWord huge_block(Bounds bounds) const;
  PageWord around(uint16_t page, const Segment& segment, Bounds bounds);
  PageWord split_block(Bounds bounds) const;
  PageWord by_mapping(uint16_t page, const Segment& segment, Bounds bounds) const;
  bool settled(PageWord word) const;
  void find_neighbours();
  void count(const Segment& segment);
  bool moved_here_since(uint16_t page, PageWord word) const;
  void settle_absent();
  static bool file_backed(const events::Vma& vma);
  bool file_page(const Segment& segment) const;
  bool anonymous(PageRange pages) const;
  PageNumber number(uint16_t page) const { return chunk_ * kChunkPages + page; }

  PageModel& model_;
  const Input& in_;
  std::vector<events::ScanRun> sorted_;  // when the scan's runs are not in order
  const std::vector<events::ScanRun>* runs_;
  size_t run_ = 0;
  size_t vma_ = 0;
  ClaimCursor runtime_;
  std::vector<PageModel::Grave> graves_;  // in order of page
  size_t grave_ = 0;
  MapSites departed_;  // of mappings that have gone since the scan began

  uint64_t start_ = 0, grace_ = 0;  // ticks; start_ of this pass, absolute
  uint64_t rel_start_ = 0, rel_last_ = 0, rel_before_ = 0;
  AgeTicks ages_;
  ScanResult result_;
  GroupTable groups_, leaving_;  // leaving_: in this scan, and already removed

  // The chunk at hand.
  uint64_t chunk_ = 0, count_ = 1;  // and how many from it on are alike
  ChunkWords words_;
  std::array<bool, kChunkPages> present_{}, swapped_{};
  std::array<bool, kChunkPages> exhumed_{};  // in this result, and gone since
  std::vector<Segment> segments_;
  uint64_t pages_present_ = 0;
  std::optional<Around> neighbours_;
};

}  // namespace memwhy::timeline
