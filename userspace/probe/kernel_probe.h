// SPDX-License-Identifier: Apache-2.0
// KernelProbe: the hooks in the kernel, seen from userspace: whom to trace, what happened, which stack
// brought in each page.
//
// What it is: the one owner of the BPF object; nothing else in memwhy speaks to libbpf. What it is not: a
// model (pages that leave, moves and forks are timeline's) or a schedule (record's).
//
// Nothing is attached while no address space is traced. Two threads may use it: drain(), lost_stack() and
// coverage() on one, everything else on another.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "memwhy/abi/table.h"
#include "probe/run_time.h"

namespace memwhy::probe {

// Sizes are powers of two, at most the defaults (include/memwhy/abi/limits.h); 0: the default.
struct Options {
  uint32_t ring_bytes = 0;  // a page at least
  uint32_t chunks = 0;      // 2 MiB of address space each
  uint32_t stacks = 0;      // distinct stacks held at once
  uint32_t spaces = 0;      // address spaces traced at once
  uint32_t read_how =
      MW_READ_MEMORY;  // enum mw_read_how: stacks this way or, where the kernel refuses, the next simpler
  RunTime::Mode run_time = RunTime::Mode::kOff;  // whether the programs' run time is measured, and when
  // {"page_fault_user", "raw_tp"}: use this way and no other. Names as in bpf/README.md; "none": leave the
  // hook out.
  std::vector<std::pair<std::string, std::string>> force_hook;
  // Probes of the Go runtime: "uprobe_multi" or "uprobe" and no other way, "none": not at all; "": the best there is.
  std::string go_probes;
  uint32_t go_hits_per_s = 2000;  // of one function; above it is given up
};

class KernelProbe {
 public:
  // Loads the programs, choosing for each hook the cheapest way that this kernel has. kEnvironment: says what
  // is missing.
  static Result<std::unique_ptr<KernelProbe>> open(const Options& options = {});
  ~KernelProbe();
  KernelProbe(const KernelProbe&) = delete;
  KernelProbe& operator=(const KernelProbe&) = delete;

  using Emit = std::function<void(events::Event)>;

  // Starts to trace the address space of `tgid` (any live thread's mm). The first call attaches the hooks.
  // kTargetGone: no such process. kUsage: a kernel thread.
  Result<SpaceId> trace(Pid tgid, bool follow);
  // Forgets the space, its chunks (settle() gives them back) and its processes; the last one detaches the hooks.
  Status untrace(SpaceId space);

  // Takes what the ring holds, without waiting. Stacks that events name are given first; Loss when something
  // got lost.
  size_t drain(const Emit& emit);
  // A stack of drain() that found no room: told again, with its id, by resend_stacks().
  void lost_stack(StackId stack, SpaceId space);
  events::Coverage coverage();

  events::HookReport hooks() const;
  Result<events::ClockAnchor> clock();
  // Entries that changed since the last call for this space (all when `restate`), new stacks first. false:
  // nothing changed.
  bool read_table(SpaceId space, bool restate, const Emit& emit);
  void resend_stacks(const Emit& emit);
  Result<events::ThreadList> threads(SpaceId space);
  // Gives back chunks outside `mapped` (after two calls in which nothing was faulted there; nullopt: the
  // space ended, all of them with the next settle()), and stacks that nothing names any more once half of the
  // stack table is in use.
  void reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped);
  // Gives back the chunks of all spaces that ended, after one grace period for them all.
  void settle();

  // Stacks of a Go program go on where the runtime switched to the system stack of a thread.
  void is_go(SpaceId space);
  // Probes rare functions of the Go runtime in this space, until it ends. What can't be probed is told by hooks().
  void probe_go(SpaceId space, events::GoProbePlan plan);
  void unprobe_go(SpaceId space);
  // Gives up functions that are called too often for the budget. true: hooks() says something else now.
  bool govern();

  // Programs of ours that are attached to something right now. For tests and doctor.
  size_t attached() const;

 private:
  struct State;
  explicit KernelProbe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace memwhy::probe
