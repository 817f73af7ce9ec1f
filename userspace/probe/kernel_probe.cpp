// SPDX-License-Identifier: Apache-2.0
// Opening the object, and its counters.
#include "probe/kernel_probe.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <ctime>
#include <utility>

#include "base/time.h"
#include "probe/decode.h"
#include "probe/hub.h"

namespace memwhy::probe {
namespace {

// What to add to CLOCK_MONOTONIC for CLOCK_REALTIME, modulo 2^64. Others may run between two looks at clocks: the shortest
// while of some counts.
uint64_t realtime_lead() {
  constexpr int kTries = 8;
  constexpr uint64_t kShort = 2'000;
  uint64_t lead = 0, shortest = ~uint64_t{0};
  for (int i = 0; i < kTries && shortest > kShort; ++i) {
    const uint64_t before = clock_ns(CLOCK_MONOTONIC), realtime = clock_ns(CLOCK_REALTIME);
    const uint64_t took = clock_ns(CLOCK_MONOTONIC) - before;
    if (took >= shortest) continue;
    shortest = took;
    lead = realtime - (before + took / 2);
  }
  return lead;
}

}  // namespace

Result<std::unique_ptr<KernelProbe>> KernelProbe::open(const Options& options) {
  Result<std::unique_ptr<Object>> object = Object::load(options);
  if (!object) return std::move(object).error();
  auto hub = std::make_shared<Hub>(std::move(object).value(), options);
  if (Status opened = hub->open_ring(); !opened) return std::move(opened).error();
  return std::unique_ptr<KernelProbe>(new KernelProbe(std::move(hub)));
}

std::unique_ptr<Port> KernelProbe::port() { return std::make_unique<Port>(hub_); }

events::Coverage KernelProbe::coverage() {
  const std::lock_guard lock(hub_->draining);
  return hub_->coverage();
}

Result<std::unique_ptr<Port>> open_port(const Options& options) {
  Result<std::unique_ptr<KernelProbe>> probe = KernelProbe::open(options);
  if (!probe) return std::move(probe).error();
  return (*probe)->port();
}

template <typename Field>
uint64_t Hub::sum(Field field) const {
  uint64_t total = 0;
  for (uint32_t cpu = 0; cpu < object->cpus(); ++cpu)
    total +=
        std::atomic_ref(const_cast<mw_u64&>(field(object->counters()[cpu]))).load(std::memory_order_acquire);
  return total;
}

uint64_t Hub::fault_count(mw_fault_counter which) const {
  return sum([&](const mw_counters& c) -> const mw_u64& { return c.fault[which]; });
}

uint64_t Hub::seen(size_t kind) const {
  return sum([&](const mw_counters& c) -> const mw_u64& { return c.seen[kind]; });
}

uint64_t Hub::lost(size_t kind) const {
  return sum([&](const mw_counters& c) -> const mw_u64& { return c.lost[kind]; });
}

GoHits Hub::go_hits() const {
  GoHits all;
  for (size_t i = 0; i < events::kGoFunctions; ++i) {
    all.hits[i] = sum([&](const mw_counters& c) -> const mw_u64& { return c.go_hits[i]; });
    all.ns[i] = sum([&](const mw_counters& c) -> const mw_u64& { return c.go_ns[i]; });
  }
  return all;
}

// As the kernel counts them; go_call keeps the time of each probe itself.
std::vector<RunTime::Program> Hub::programs() const {
  std::vector<RunTime::Program> all;
  for (const auto& [name, fd] : object->programs()) {
    bpf_prog_info info{};
    uint32_t length = sizeof info;
    if (name != "go_call" && bpf_obj_get_info_by_fd(fd, &info, &length) == 0)
      all.push_back({name, info.run_cnt, info.run_time_ns});
  }
  return all;
}

events::Coverage Hub::coverage() {
  events::Coverage c;
  // Lost before seen: what is counted in between must not make more lost than seen.
  for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) {
    const uint64_t lost_now = lost(kind);
    c.kinds.push_back({kind_name(static_cast<mw_event_kind>(kind)), seen(kind), drained[kind], lost_now});
  }
  c.faults_table_full = fault_count(MW_FAULTS_TABLE_FULL);
  c.faults_recorded = fault_count(MW_FAULTS_RECORDED);
  c.faults_seen = fault_count(MW_FAULTS_SEEN);
  c.kinds.push_back({"page_fault", c.faults_seen, c.faults_recorded, c.faults_table_full});
  c.stacks_new = fault_count(MW_STACKS_NEW);
  c.stacks_lost = fault_count(MW_STACKS_LOST);
  c.stacks_unreadable = fault_count(MW_STACKS_UNREADABLE);
  c.frames_by_helper = fault_count(MW_FRAMES_BY_HELPER);
  c.snapshots_taken = fault_count(MW_SNAPSHOTS_SENT);
  c.snapshots_refused = fault_count(MW_SNAPSHOTS_LIMITED) + fault_count(MW_SNAPSHOTS_LOST);
  c.chunks_limit = object->chunk_slots();
  c.chunks_used = fault_count(MW_CHUNKS_NEW) - pages.freed();
  c.stacks_limit = object->stack_slots();
  c.stacks_used = c.stacks_new - stacks.freed();
  c.programs = run_time.costs(clock_ns(CLOCK_MONOTONIC));
  // One program for all of them: it keeps their time itself.
  const GoHits hits = go_hits();
  for (size_t i = 0; i < events::kGoFunctions; ++i)
    if (hits.hits[i] != 0)
      c.programs.push_back({std::string("go_") + events::kGoFunctionNames[i], hits.hits[i], hits.ns[i], 0});
  return c;
}

Result<events::ClockAnchor> Hub::clock() {
  const mw_request& answer = object->request();
  if (Status done = object->run("clock"); !done) return std::move(done).error();
  return events::ClockAnchor{answer.time_ns, answer.boot_ns, answer.time_ns + realtime_lead(), answer.tick};
}

}  // namespace memwhy::probe
