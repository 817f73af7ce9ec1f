// SPDX-License-Identifier: Apache-2.0
// Readings: what is read of one target below /proc and from the page fault table, and the events made of it.
//
// The order around a scan is part of the contract: the VMA list is read before it, the table after it, so that a page of the scan
// has its mapping and its entry; then the runtimes' use of its pages; and the scan is emitted last, after everything that
// explains its pages.
#pragma once

#include <cstdint>

#include "record/cgroups.h"
#include "record/names.h"
#include "record/runtime_reader.h"
#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

class Readings {
 public:
  Readings(const World& world, Names& names, RuntimeReader& runtimes)
      : world_(world), names_(names), runtimes_(runtimes) {}

  // As much of it is resident as before: its 1 Hz reading may wait.
  bool rests(Target& target);
  // The same for the scan that is due: until the whole table is restated.
  bool put_off_scan(Target& target) const;
  // With those of its cgroup. false: the space is gone.
  bool counters(Target& target);
  // The VMA list, the pass, the threads, the table, the runtimes. false: the space is gone, and the pass was not emitted.
  bool scan(Target& target, bool restate, Look look);
  void table(Target& target, bool restate);
  // The cgroup in which it was last seen, as it is now.
  void cgroup(const Target& target) { cgroups_.read(target.told.cgroup, 0); }
  // Gives back chunks of the kernel's table that are outside every mapping.
  void reclaim(Target& target);

  uint64_t scans() const { return scans_; }

 private:
  Result<events::PageScan> pass(Target& target);

  const World& world_;
  Names& names_;
  RuntimeReader& runtimes_;
  Cgroups cgroups_{world_};
  uint64_t scans_ = 0;
};

}  // namespace memwhy::record
