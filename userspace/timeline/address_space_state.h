// SPDX-License-Identifier: Apache-2.0
// What an AddressSpace holds, and how events change it. Only timeline/ sees this.
#pragma once

#include "timeline/address_space.h"
#include "timeline/curve.h"
#include "timeline/map_sites.h"
#include "timeline/page_model.h"
#include "timeline/tick_clock.h"

namespace memwhy::timeline {

// The kernel's tables are read at 1 Hz: so long after a fork the parent's entries from before it may be
// heard.
constexpr TimeNs kForkWindow = 5'000'000'000;

struct AddressSpace::State {
  State(SpaceId space, StackDictionary& stacks, const TickClock& ticks)
      : id(space), clock(&ticks), pages(stacks) {}

  // `parent`: of a fork, when it is known.
  void start(const events::SpaceStart& start, State* parent, bool joined_late);
  void operator()(const events::VmaList& list, TimeNs time);
  void operator()(const events::PageScan& scan, TimeNs time);
  void operator()(const events::VmaMapped& mapped, TimeNs time);
  void operator()(const events::VmaUnmapped& unmapped, TimeNs time);
  void operator()(const events::VmaAdvised& advised, TimeNs time);
  void operator()(const events::VmaMoved& moved, TimeNs time);
  void operator()(const events::HeapGrown& grown, TimeNs time);
  void operator()(const events::Counters& sample, TimeNs time);
  void operator()(const events::RuntimePages& said, TimeNs time);
  void operator()(const auto& event, TimeNs time)  // of a runtime about itself
    requires requires(RuntimeTracks all) { all.on(event, time); }
  {
    tracks.on(event, time);
  }
  void lost(TimeNs time);
  void finish(const events::SpaceEnd& why, TimeNs time);
  void drop_pages();  // the model of an ended space; its last result stays
  size_t memory_bytes() const;

  SpaceId id;
  events::SpaceStart identity;
  bool started = false;       // its SpaceStart was seen
  bool before_attach = true;  // its first scan may find pages from before the recording
  bool pages_dropped = false;
  TimeNs first_seen = 0;
  uint64_t fork_tick = 0;  // kForked: entries of the parent up to here are its own
  std::optional<TimeNs> ended;
  std::optional<events::SpaceEnd> end;
  std::optional<events::ProcessExit> exit;
  std::optional<TimeNs> oom_victim;

  const TickClock* clock;
  PageModel pages;
  MapSites sites;
  VmaListPtr vmas = std::make_shared<std::vector<events::Vma>>();
  std::vector<events::Thread> threads;
  Curve<RssPoint, 4096> curve;
  RuntimeTracks tracks;
  std::vector<std::shared_ptr<const events::RuntimePages>> runtimes;  // of the scan that comes next
  std::optional<events::Counters> counters, counters_before, counters_after;
  std::optional<ScanResult> last_scan;
  FreshFaults fresh;  // since it
  uint64_t scans = 0;

 private:
  uint64_t tick_of(uint64_t tick, TimeNs time);
};

}  // namespace memwhy::timeline
