// SPDX-License-Identifier: Apache-2.0
// AddressSpace: one mm's mappings with their history, its pages with their evidence, its counters over time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events/event.h"
#include "timeline/go/calls.h"
#include "timeline/go/cycles.h"
#include "timeline/go/moments.h"
#include "timeline/page_group.h"

namespace memwhy::timeline {

// Who asked for a mapping. Ranges are cut as parts are unmapped or moved.
struct MapSite {
  AddressRange range;
  StackId stack{};
  TimeNs time = 0;
  uint32_t prot = 0, flags = 0;
  enum class What : uint8_t { kMmap, kBrk, kMremap } what = What::kMmap;
};

// A point of the RSS curve (from Counters, 1 Hz; thinned evenly when a recording is long).
struct RssPoint {
  TimeNs time = 0;
  uint64_t rss_bytes = 0, anon_bytes = 0, file_bytes = 0, shmem_bytes = 0;
};

// The Go runtime's counters over time (1 Hz, thinned like RSS).
struct GoPoint {
  TimeNs time = 0;
  events::GoCounters counters;
  std::shared_ptr<const events::GoAllocations> allocations = nullptr;  // nullptr: not read at this time
};

// Collections since the program is watched, and how long they stopped the world.
struct GoPauses {
  uint64_t collections = 0;  // that were seen
  uint64_t missed = 0;  // ended between two polls, and their places in the runtime's ring were taken again
  uint64_t total_ns = 0;
  events::GoPause longest;
  uint32_t last = 0;  // number of the last one
};

// Its goroutines, each time they were read (at most 32 kept, the first and the last among them).
struct GoroutinePoint {
  TimeNs time = 0;
  std::shared_ptr<const events::GoGoroutines> all;
};

// What is known of one page as of the last scan.
struct PageEvidence {
  How how = How::kUnknown;
  StackId stack{};
};

class AddressSpace {
 public:
  struct State;
  explicit AddressSpace(std::unique_ptr<State> state);  // made by Timeline
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  SpaceId id() const;
  const events::SpaceStart& identity() const;  // the best known
  TimeNs first_seen() const;
  std::optional<TimeNs> ended() const;
  std::optional<events::SpaceEnd> end() const;
  std::optional<events::ProcessExit> exit() const;
  bool oom_victim() const;

  const std::vector<events::Vma>& vmas() const;  // as of the last list
  std::vector<MapSite> map_sites()
      const;  // in order of address, not overlapping: who made what is mapped now
  const std::vector<events::Thread>& threads() const;
  std::vector<RssPoint> rss_curve() const;
  const std::optional<events::Counters>& counters() const;         // the last
  const std::optional<events::Counters>& counters_before() const;  // around the last scan
  const std::optional<events::Counters>& counters_after() const;
  const ScanResult* last_scan() const;  // nullptr before the first
  uint64_t scans() const;

  std::vector<GoPoint> go_curve() const;
  const GoPauses& go_pauses() const;
  const GoCycles& go_cycles() const;
  const GoMoments& go_moments() const;
  std::vector<GoroutinePoint> goroutines() const;
  std::vector<GoCallSite> go_calls() const;                     // what its probes told, most bytes first
  const events::GoProfile* go_profile() const;                  // nullptr: not read
  std::optional<PageEvidence> evidence(PageNumber page) const;  // nothing: not resident, or the space ended

  // Bytes the model itself takes for this space.
  size_t memory_bytes() const;

  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace memwhy::timeline
