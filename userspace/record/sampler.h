// SPDX-License-Identifier: Apache-2.0
// Sampler: what is read of which target, and when. No thread and no waiting of its own: Session (or a test
// with a clock of its own) asks next_due() and calls run_due().
//
//   attach   identity, counters, VMA list, scan, table, threads
//   1 Hz     counters, changed table runs
//   10 s     VMA list, scan, table, threads   (a quarter of a recording that is shorter than 40 s)
//   at once  the same, when RSS moved 5 % since the last scan, or a removal was lost; at most 1 % of a CPU
//   later    the same, when reading a Go heap so often would take more than 1 % of a CPU (told with the hooks)
//   60 s     table restated whole, chunks given back, clock anchor
//   stop     the same as at attach
//
// The order around a scan is part of the contract: the VMA list is read before it, the table after it, so
// that a page of the scan has its entry and its mapping; and the scan is told last, when they are known.
//
// A forked or exec'd space is named at once, but what is read of /proc could already be its successor's. So
// it is held back until a later look at the ring has brought no exec (`kConfirmAfter`).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "record/allowance.h"
#include "record/clock.h"
#include "record/sources.h"

namespace memwhy::record {

struct SamplerOptions {
  TimeNs scan_period = 10'000'000'000;
  bool follow = false;
  bool probe_go = true;
  std::function<bool()> stop_requested =
      {};                                  // the recording is to end: nothing more is begun before finish()
  std::function<bool()> out_of_time = {};  // nor in finish()
};

// SpaceStart::elf_class of the programs that memwhy understands.
constexpr const char* kMachine = "x86-64";

// The scan period of a recording of this length.
TimeNs scan_period_for(std::optional<TimeNs> duration);

// What recording a target costs us, in CPU time of our own.
struct TargetCost {
  SpaceId space{};
  Pid tgid = 0;
  uint64_t scans = 0, scan_cpu_ns = 0;
  uint64_t table_reads = 0, table_cpu_ns = 0;
  uint64_t counter_reads = 0, counter_cpu_ns = 0;
  uint64_t go_reads = 0, go_cpu_ns = 0;
};

class Sampler {
 public:
  using Emit = std::function<void(events::Event)>;

  Sampler(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, Clock& clock,
          SamplerOptions options, Emit emit);
  ~Sampler();

  Result<SpaceId> add(Pid tgid);
  Status remove(Pid tgid);

  // From intake: SpaceStart, SpaceEnd, ProcessExit, Stack, Loss. Others are ignored.
  void handle(const events::Event& event);

  TimeNs next_due() const;
  void run_due();
  // Every target is scanned and its table told whole, at once.
  void restate();
  // The last look at every target and the last clock anchor.
  void finish();
  // Hooks are let go. After the last look of intake.
  void release();

  size_t targets() const;
  // There were targets, and for a while there has been none.
  bool deserted() const;
  uint64_t scans() const { return scans_; }
  uint64_t rss_bytes() const;
  std::vector<TargetCost> costs() const;
  // How full the kernel's page table is, 0 to 1; told by intake's coverage.
  void set_table_fill(double fill) { table_fill_ = fill; }
  void notice(std::string sentence);  // told with the hooks; of many the first ones

 private:
  struct Target;

  Target* find(SpaceId space);
  Target* find_owner(Pid tgid);
  Target& make(SpaceId space, Pid tgid);
  void emit(TimeNs time, events::Payload payload);
  void anchor();
  void hooks();
  void keep_notice(std::string sentence);

  void on_start(TimeNs time, const events::SpaceStart& start);
  void on_end(TimeNs time, const events::SpaceEnd& end);
  void leave(TimeNs time, Target& target);
  TimeNs deserted_at() const;
  void meet(Target& target);
  void on_share_loss(const events::Loss& loss);
  void on_loss(const events::Loss& loss);
  Error refuse(const Target& target, const std::string& comm);  // of another machine
  void open(Target& target);
  void confirm(Target& target);
  void check(Target& target);
  void end(SpaceId space, std::optional<events::EndWhy> say);

  bool read_counters(Target& target);
  bool read_vmas(Target& target);
  bool scan(Target& target, bool restate);
  void stretch(Target& target);
  void read_table(Target& target, bool restate);
  bool read_go(Target& target, const events::PageScan& pass);
  bool read_go(Target& target, GoSource& source, const events::PageScan& pass);
  void tell_go_share(const Target& target);
  void read_profile(Target& target, GoSource& source);
  void read_goroutines(Target& target, GoSource& source);
  void read_go_statistics(Target& target);
  void probe_go(Target& target);
  void name_go(Target& target, const std::vector<uint64_t>& addresses, bool first_is_exact);
  void resend_stacks();
  void reclaim(Target& target);
  void resolve(Target& target, std::span<const events::Stack> stacks);
  void name(Target& target, const Target& from, std::span<const events::Stack> stacks);
  void wait_for_names(Target& target, const events::Stack& stack);
  void give_up_names(Target& target, size_t stacks);
  void resolve_waiting(Target& target);

  KernelSource& kernel_;
  ProcessOpener& processes_;
  SymbolSource& symbols_;
  Clock& clock_;
  const SamplerOptions options_;
  Emit emit_;
  std::map<SpaceId, std::unique_ptr<Target>> targets_;
  TimeNs next_anchor_ = 0;
  uint64_t scans_ = 0;
  double table_fill_ = 0;
  bool had_targets_ = false, finishing_ = false;
  TimeNs deserted_since_ = 0;
  std::set<Pid> in_exec_;  // their old space has ended, and of the next one nobody has told yet
  std::optional<events::HookReport> hooks_;
  std::vector<std::string> notices_;  // of ours, told with the hooks: the first ones ...
  size_t more_notices_ = 0;           // ... and how many more
  Allowance meeting_;                 // children that are looked at for the first time
  uint64_t unmet_ = 0;                // children at whom nobody looked
};

}  // namespace memwhy::record
