// SPDX-License-Identifier: Apache-2.0
// Sampler: what is read of which target, and when. No thread and no waiting of its own: Session (or a test
// with a clock of its own) calls next_due() and then run_due().
//
//   attach   identity, counters, VMA list, scan, table, threads, runtimes
//   1 Hz     counters, changed table runs, counters of runtimes
//   10 s     VMA list, scan, table, threads, runtimes   (a quarter of a recording that is shorter than 40 s)
//   at once  the same, when RSS moved 5 % since the last scan, or a removal was lost; max 1 % of a CPU
//   later    the same, when reading a runtime so often would take more than 1 % of a CPU (reported with the hooks)
//   60 s     whole table restated, chunks given back, clock anchor
//   stop     the same as at attach
//
// With SamplerOptions::rests, for who records many of which most do nothing: while as much of a target is resident as at its last
// 1 Hz reading, that is made each 10 s; and while its RSS is within 256 KiB of its last scan's, it is scanned each 60 s.
//
// A forked or exec'd space is named at once, but what is read of /proc could already be its successor's. So
// it is held back until a later look at the ring has shown no exec (`kConfirmAfter`).
//
// This file only brings the parts together; each has one thing to decide:
//
//   roster    who is recorded          schedule   when what of a target is due
//   readings  /proc and the table      runtime_reader   runtimes and allocators, each within its budget
//   names     names of stacks          notices    sentences about what is not seen
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "record/costs.h"
#include "record/names.h"
#include "record/notices.h"
#include "record/readings.h"
#include "record/roster.h"
#include "record/runtime_reader.h"
#include "record/target.h"
#include "record/world.h"

namespace memwhy::record {

// The scan period of a recording of this length.
TimeNs scan_period_for(std::optional<TimeNs> duration);

class Sampler {
 public:
  using Emit = std::function<void(events::Event)>;

  Sampler(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, Clock& clock,
          SamplerOptions options, Emit emit);
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  Result<SpaceId> add(Pid tgid) { return roster_.add(tgid); }
  Status remove(Pid tgid) { return roster_.remove(tgid); }

  // From intake: SpaceStart, SpaceEnd, ProcessExit, Stack, Loss. Others are ignored.
  void handle(const events::Event& event);

  TimeNs next_due() const;
  void run_due();
  // Every target, or each of these, is scanned and its whole table restated, at once.
  void restate() { restate(targets_.spaces()); }
  void restate(const std::vector<SpaceId>& spaces);
  // The last look at every target and the last clock anchor.
  void finish();
  // The same for targets that intake reported since, and that were never scanned: a command may exec when the recording ends.
  void finish_new();
  // Hooks are let go. After the last look of intake.
  void release();

  size_t targets() const { return targets_.size(); }
  // There were targets, and for a while there has been none.
  bool deserted() const { return roster_.deserted_at() <= world_.clock.now(); }
  uint64_t scans() const { return readings_.scans(); }
  uint64_t lumps_ns() const { return world_.lumps->cpu_ns(); }
  uint64_t rss_bytes() const;
  std::vector<TargetCost> costs() const;
  // How full the page fault table is, 0 to 1; from intake's coverage.
  void set_table_fill(double fill) { table_fill_ = fill; }
  void notice(std::string sentence) { notices_.add(std::move(sentence)); }  // reported with the hooks

 private:
  void anchor();
  void run(Target& target);
  void look_last(Target& target);
  void look_last(std::vector<SpaceId> spaces);

  const World world_;
  Targets targets_;
  Notices notices_{world_};
  Names names_{world_, targets_, notices_};
  RuntimeReader runtimes_{world_, names_, notices_};
  Readings readings_{world_, names_, runtimes_};
  Roster roster_{world_, targets_, names_, readings_, notices_};
  TimeNs next_anchor_ = 0;
  double table_fill_ = 0;
};

}  // namespace memwhy::record
