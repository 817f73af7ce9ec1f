// SPDX-License-Identifier: Apache-2.0
// Port: the hooks in the kernel as one recording sees them: the spaces that it traces, what happened there, which stack
// brought in each page.
//
// What it is: all that a recording needs from the kernel side. What it is not: the programs (in KernelProbe, once for all
// ports), a model (pages that leave, moves and forks: timeline/) or a schedule (record/).
//
// Two ports may trace one process: each gets all events and the whole table. What the kernel side counts for all spaces
// together (faults, losses, the cost of programs) is the same for each port, from its opening on; hooks() mentions that.
//
// Two threads may use a port: drain(), lost_stack() and coverage() on one, everything else on another. Threads of different
// ports are independent. A port that does not drain for long loses events, which are counted for it alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "events/event.h"

namespace memwhy::probe {

struct Hub;
struct PortState;

class Port {
 public:
  explicit Port(std::shared_ptr<Hub> hub);
  ~Port();  // what it traced is traced for it no longer
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  using Emit = std::function<void(events::Event)>;

  // Starts to trace the address space of `tgid` (any live thread's mm). The first call of all ports attaches the hooks.
  // kTargetGone: no such process. kUsage: a kernel thread.
  Result<SpaceId> trace(Pid tgid, bool follow);
  // Forgets the space. When no other port traces it, so does the kernel side: its chunks (settle() gives them back) and its
  // processes; the last one of all detaches the hooks.
  Status untrace(SpaceId space);

  // Takes what the ring holds, without waiting, and gives what of it is this port's. Stacks that events name are given
  // first; Loss when something got lost. Returns the number of events that were taken from the ring.
  size_t drain(const Emit& emit);
  // A stack of drain() that found no room: given again, with its id, by resend_stacks().
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
  // space ended, all of them with the next settle() after the last port said so), and stacks that nothing names any more
  // once half of the stack table is in use.
  void reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped);
  // Gives back the chunks of all spaces that ended, after one grace period for them all; and stacks, as reclaim() does.
  void settle();

  // Stacks of a Go program go on where the runtime switched to the system stack of a thread.
  void is_go(SpaceId space);
  // Probes rare functions of the Go runtime in this space, until it ends. What can't be probed is in hooks().
  void probe_go(SpaceId space, events::GoProbePlan plan);
  void unprobe_go(SpaceId space);
  // Probes malloc and its kind in this space for a few calls (allocation_probes.h); what came of it is in hooks().
  void probe_allocations(SpaceId space, events::AllocationProbePlan plan);
  // Gives up functions that are called too often for the budget, for all recordings. true: hooks() says something else
  // now.
  bool govern();

  // Programs of memwhy's that are attached right now, for any port. For tests and doctor.
  size_t attached() const;

 private:
  std::shared_ptr<Hub> hub_;
  std::unique_ptr<PortState> state_;
};

}  // namespace memwhy::probe
