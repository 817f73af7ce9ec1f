// SPDX-License-Identifier: Apache-2.0
// Hub: what all ports of one KernelProbe share: the BPF object, its tables, and which port records which space. Private to
// kernel_probe.cpp, port.cpp and hub.cpp.
//
//   ring ─► pump(), by whichever port drains ─► Routes: space 3 ─► port 1: inbox    as events, each port's own copy
//                                                             └──► port 2: inbox    until its drain() takes them
//
// Two locks. `draining` is held for as long as it takes to empty the ring, never while waiting; `working` for work that may take
// tens of milliseconds: claims, reading tables, giving chunks back. If both are needed, `working` is taken first. Nothing is
// emitted under either: a slow recording delays no other.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "probe/allocation_probes.h"
#include "probe/go_probes.h"
#include "probe/kernel_probe.h"
#include "probe/map_looks.h"
#include "probe/members.h"
#include "probe/object.h"
#include "probe/page_table.h"
#include "probe/ring_closer.h"
#include "probe/routes.h"
#include "probe/run_time.h"
#include "probe/shares.h"
#include "probe/stack_table.h"
#include "probe/table_reader.h"

namespace memwhy::probe {

// Of one kind of record, or several.
using Counts = std::array<uint64_t, MW_EVENT_KINDS>;

// What the hub keeps of a port.
struct PortState {
  PortState(uint32_t number, PageTable& pages) : id(number), reader(pages, number) {}
  const uint32_t id;
  // working
  TableReader reader;
  GoReport go;
  bool hooks_changed = false;
  bool shared = false;      // there was another port beside it
  bool table_full = false;  // as of the last look
  // draining
  std::vector<events::Event> inbox;
  Counts delivered{}, no_room{}, lost_said{};
  Counts drained_before{}, lost_before{};  // when it was opened
  events::Coverage before;
};

struct Hub {
  Hub(std::unique_ptr<Object> loaded, const Options& options);
  ~Hub();
  Status open_ring();

  // With `draining` held.
  size_t pump();
  void pass_refused();
  events::Coverage coverage();
  // With `working` held.
  Result<SpaceId> claim(Pid tgid, bool follow, uint32_t port);
  void leave(PortState& port, SpaceId space);  // the port is given nothing of it any more
  void forget(SpaceId space);                  // the kernel side traces it no more
  void over(SpaceId space);                    // no port reads it any more
  void release_orphans();
  // Returns when every BPF program that runs now has ended.
  static void grace_period();
  void settle();
  void collect_stacks();
  void detach_if_idle();
  Result<events::ClockAnchor> clock();

  uint64_t fault_count(mw_fault_counter which) const;
  uint64_t seen(size_t kind) const;
  uint64_t lost(size_t kind) const;
  GoHits go_hits() const;
  mw_space* find(SpaceId space) const;
  void unprobe(SpaceId space);
  // MapLooks::stays_held(). With `working` held.
  std::optional<std::string> map_stays_locked(SpaceId space, uint64_t site);
  MapState map_state(SpaceId space, uint64_t site, std::optional<MapLooks>& looks);
  bool traces_any() const;

  std::mutex working, draining;
  std::unique_ptr<Object> object;
  Shares shares;
  StackTable stacks;
  PageTable pages;
  Members members;
  std::unique_ptr<ring_buffer, RingCloser> ring;
  std::vector<Link> links;               // working
  std::map<uint32_t, PortState*> ports;  // changed under both locks
  uint32_t last_port = 0;
  GoProbes go;                   // working
  AllocationProbes allocations;  // has a lock and a thread of its own
  // draining
  RunTime run_time;
  Routes routes;
  Counts drained{};
  std::vector<SpaceId> orphans;     // spaces that the kernel side follows and no port records
  std::atomic<uint64_t> drains{0};  // that emptied the ring
  // working
  uint64_t drains_at_sweep = 0;

 private:
  void take(const void* record, size_t bytes);
  void pass(SpaceId space, const events::Event& event, bool followers_only);
  void recover_starts();
  std::vector<RunTime::Program> programs() const;
  template <typename Field>
  uint64_t sum(Field field) const;

  size_t taken_ = 0;
  uint64_t starts_lost_ = 0;  // as of the last recovery
  uint64_t refused_at_ = 0;
};

}  // namespace memwhy::probe
