// SPDX-License-Identifier: Apache-2.0
// AddressSpace: one mm's mappings with their history, its pages with their evidence, its counters over time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events/event.h"
#include "timeline/fresh_faults.h"
#include "timeline/page_group.h"
#include "timeline/runtime_tracks.h"

namespace memwhy::timeline {

// The stack that requested a mapping. Ranges are cut as parts are unmapped or moved.
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
  uint64_t peak_bytes = 0;  // the kernel's maximum until then (VmHWM)
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
  std::optional<TimeNs> oom_victim() const;  // when the kernel chose it to be killed

  const std::vector<events::Vma>& vmas() const;  // as of the last list
  std::vector<MapSite> map_sites()
      const;  // in order of address, not overlapping: the makers of the current mappings
  const std::vector<events::Thread>& threads() const;
  std::vector<RssPoint> rss_curve() const;
  const std::optional<events::Counters>& counters() const;         // the last
  const std::optional<events::Counters>& counters_before() const;  // around the last scan
  const std::optional<events::Counters>& counters_after() const;
  const ScanResult* last_scan() const;  // nullptr before the first
  uint64_t scans() const;

  // What was touched since the last scan, most first.
  std::vector<FreshFaults::Touched> fresh_faults() const;
  const RuntimeTracks& tracks() const;                          // what runtimes reported besides their pages
  std::optional<PageEvidence> evidence(PageNumber page) const;  // nothing: not resident, or the space ended

  // Bytes the model itself takes for this space.
  size_t memory_bytes() const;

  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace memwhy::timeline
