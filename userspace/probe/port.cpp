// SPDX-License-Identifier: Apache-2.0
#include "probe/port.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/text.h"
#include "base/time.h"
#include "probe/decode.h"
#include "probe/hub.h"

namespace memwhy::probe {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{MW_CHUNK_PAGES} << kPageShift;

// What was counted since `before`. What a table holds is not a count, and stays.
events::Coverage since(events::Coverage now, const events::Coverage& before) {
  now.faults_seen -= before.faults_seen;
  now.faults_recorded -= before.faults_recorded;
  now.faults_table_full -= before.faults_table_full;
  now.stacks_new -= before.stacks_new;
  now.stacks_lost -= before.stacks_lost;
  now.stacks_unreadable -= before.stacks_unreadable;
  now.frames_by_helper -= before.frames_by_helper;
  now.snapshots_taken -= before.snapshots_taken;
  now.snapshots_refused -= before.snapshots_refused;
  for (events::ProgramCost& cost : now.programs)
    for (const events::ProgramCost& then : before.programs) {
      if (then.program != cost.program) continue;
      cost.runs -= then.runs;
      cost.run_time_ns -= then.run_time_ns;
      cost.watched_ns -= then.watched_ns;
    }
  for (size_t i = 0; i < now.kinds.size() && i < before.kinds.size(); ++i) {
    now.kinds[i].seen -= before.kinds[i].seen;
    now.kinds[i].delivered -= before.kinds[i].delivered;
    now.kinds[i].lost -= before.kinds[i].lost;
  }
  return now;
}

// Faults found no room, and not because their process has more than its share of the room.
bool table_is_full(const Hub& hub, const PortState& port) {
  const uint64_t used = hub.fault_count(MW_CHUNKS_NEW) - hub.pages.freed();
  return port.table_full || (hub.fault_count(MW_FAULTS_TABLE_FULL) > port.before.faults_table_full &&
                             used * 8 >= uint64_t{hub.object->chunk_slots()} * 7);
}

}  // namespace

Port::Port(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {
  const std::scoped_lock lock(hub_->working, hub_->draining);
  state_ = std::make_unique<PortState>(++hub_->last_port, hub_->pages);
  hub_->pump();  // what is in the ring is not this port's
  state_->before = hub_->coverage();
  for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) state_->lost_said[kind] = hub_->lost(kind);
  for (const auto& [id, other] : hub_->ports) {
    state_->shared = other->shared = true;
    other->hooks_changed = true;
  }
  hub_->ports.emplace(state_->id, state_.get());
}

Port::~Port() {
  const std::lock_guard lock(hub_->working);
  std::vector<SpaceId> all;
  {
    const std::lock_guard drain_lock(hub_->draining);
    all = hub_->routes.all_of(state_->id);
  }
  for (const SpaceId space : all) hub_->leave(*state_, space);
  {
    const std::lock_guard drain_lock(hub_->draining);
    hub_->routes.close(state_->id);
    hub_->ports.erase(state_->id);
  }
  std::vector<events::Stack> lost;
  hub_->stacks.resend(state_->id, lost);  // to no port: their slots are free
  hub_->release_orphans();
  hub_->detach_if_idle();
}

Result<SpaceId> Port::trace(Pid tgid, bool follow) {
  Hub& hub = *hub_;
  const std::lock_guard lock(hub.working);
  if (hub.links.empty()) {  // first: what happens from the claim on must not be missed
    Result<std::vector<Link>> links = hub.object->attach_all();
    if (!links) return std::move(links).error();
    hub.links = std::move(links).value();
  }
  Result<SpaceId> space = hub.claim(tgid, follow, state_->id);
  if (!space) hub.detach_if_idle();
  return space;
}

Status Port::untrace(SpaceId space) {
  const std::lock_guard lock(hub_->working);
  hub_->leave(*state_, space);
  hub_->release_orphans();
  hub_->detach_if_idle();
  return {};
}

size_t Port::drain(const Emit& emit) {
  Hub& hub = *hub_;
  std::vector<events::Event> events;
  std::vector<std::pair<const char*, uint64_t>> losses;
  size_t taken = 0;
  {
    const std::lock_guard lock(hub.draining);
    taken = hub.pump();
    hub.pass_refused();
    events.swap(state_->inbox);
    for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) {
      const uint64_t lost = hub.lost(kind) + state_->no_room[kind];
      if (lost == state_->lost_said[kind]) continue;
      losses.emplace_back(loss_name(static_cast<mw_event_kind>(kind)), lost - state_->lost_said[kind]);
      state_->lost_said[kind] = lost;
    }
  }
  for (events::Event& event : events) emit(std::move(event));
  for (const auto& [what, count] : losses)
    emit({clock_ns(CLOCK_MONOTONIC), events::Loss{SpaceId::kNone, what, count}});
  return taken;
}

void Port::lost_stack(StackId stack, SpaceId space) { hub_->stacks.lost(stack, {space, state_->id}); }

events::Coverage Port::coverage() {
  const std::lock_guard lock(hub_->draining);
  events::Coverage c = since(hub_->coverage(), state_->before);
  for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) {
    events::KindCount& count = c.kinds[kind - 1];
    const uint64_t others = count.delivered - std::min(count.delivered, state_->delivered[kind]);
    count.delivered = state_->delivered[kind];
    count.lost += state_->no_room[kind];
    // It is unknown to which port the events in the ring belong.
    count.seen = std::max(count.seen - std::min(count.seen, others - state_->no_room[kind]),
                          count.delivered + count.lost);
  }
  return c;
}

events::HookReport Port::hooks() const {
  Hub& hub = *hub_;
  const std::lock_guard lock(hub.working);
  events::HookReport report;
  report.stack_read = hub.object->reads_direct() ? "direct" : "bulk";
  const char* covered_by = "none";
  for (const Choice& choice : hub.object->choices()) {
    if (choice.way && choice.way->covers_kernel_faults) covered_by = choice.way->attach;
    const char* how = choice.covered ? covered_by : choice.way ? choice.way->attach : "none";
    report.hooks.push_back({choice.hook->name, how, choice.hook->purpose});
    if (!choice.way && !choice.covered) report.not_seen.emplace_back(choice.hook->without);
  }
  hub.go.report(state_->go, report);
  hub.allocations.report(report);
  if (!hub.object->uses_rules())
    report.not_seen.push_back(fmt::format(
        "Stacks are found by frame pointers alone ({}): code that has none (most of C and C++) ends them.",
        hub.object->why_no_rules()));
  report.not_seen.emplace_back(
      "Pages that are populated without a fault (MAP_POPULATE, mlock, direct I/O, userfaultfd, another "
      "process's writes) "
      "have no fault stack.");
  report.not_seen.emplace_back(
      "Memory that others take away (reclaim, process_madvise, truncation of a file, shmdt) is seen at the "
      "next scan.");
  if (table_is_full(hub, *state_))
    report.not_seen.push_back(fmt::format(
        "The table of page faults is full: it holds {} chunks of {}, {} of address space, for all recorded "
        "processes together. Pages elsewhere have no fault stack.",
        grouped(hub.object->chunk_slots()), human_bytes(kChunkBytes),
        human_bytes(hub.object->chunk_slots() * kChunkBytes)));
  if (state_->shared)
    report.not_seen.emplace_back(
        "Several recordings ran in this memwhy at once: the counts of faults and of losses, and what the "
        "hooks cost, are those of all of them.");
  return report;
}

Result<events::ClockAnchor> Port::clock() {
  const std::lock_guard lock(hub_->working);
  return hub_->clock();
}

bool Port::read_table(SpaceId space, bool restate, const Emit& emit) {
  Hub& hub = *hub_;
  events::PageTableRuns runs;
  std::vector<events::Stack> fresh;
  TimeNs time = 0;
  {
    const std::lock_guard lock(hub.working);
    // The tick first, and the claims before the keys: whatever comes in between is read again next time.
    const Result<events::ClockAnchor> now = hub.clock();
    const uint64_t claims = hub.fault_count(MW_CHUNKS_NEW);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    state_->reader.read(space, restate, now ? now->tick : 0, claims, runs, fresh);
    time = now ? now->monotonic_ns : clock_ns(CLOCK_MONOTONIC);
  }
  for (events::Stack& stack : fresh) emit({time, std::move(stack)});
  const bool changed = !runs.runs.empty() || restate;
  if (changed) emit({time, std::move(runs)});
  return changed;
}

void Port::resend_stacks(const Emit& emit) {
  std::vector<events::Stack> stacks;
  hub_->stacks.resend(state_->id, stacks);
  for (events::Stack& stack : stacks) emit({clock_ns(CLOCK_MONOTONIC), std::move(stack)});
}

Result<events::ThreadList> Port::threads(SpaceId space) {
  Hub& hub = *hub_;
  const std::lock_guard lock(hub.working);
  const mw_space* at = hub.find(space);
  if (!at) return Error(ErrorCode::kTargetGone, "the address space has ended");
  hub.object->request().mm = at->mm;
  const Result<std::vector<mw_thread>> threads = hub.object->records<mw_thread>("space_threads");
  if (!threads) return threads.error();
  events::ThreadList list{space, {}};
  for (const mw_thread& thread : *threads) list.threads.push_back({thread.tid, thread.sp, thread.tls});
  return list;
}

void Port::reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped) {
  Hub& hub = *hub_;
  const std::lock_guard lock(hub.working);
  if (mapped) {
    std::vector<AddressRange> sorted = *mapped;
    std::sort(sorted.begin(), sorted.end());
    state_->reader.reclaim(space, sorted, hub.fault_count(MW_CHUNKS_NEW), Hub::grace_period);
    hub.collect_stacks();
  } else {
    bool last = false;
    {
      const std::lock_guard drain_lock(hub.draining);
      last = hub.routes.done(space, state_->id);
    }
    state_->reader.forget(space);
    hub.stacks.forget({space, state_->id});
    if (last) hub.over(space);
  }
  hub.release_orphans();
  hub.detach_if_idle();
}

void Port::settle() {
  const std::lock_guard lock(hub_->working);
  hub_->release_orphans();
  hub_->settle();
  hub_->detach_if_idle();  // its last process may have been gone later than its space
}

void Port::is_go(SpaceId space) {
  const std::lock_guard lock(hub_->working);
  if (mw_space* at = hub_->find(space)) std::atomic_ref(at->flags).fetch_or(MW_SPACE_GO);
}

void Port::probe_go(SpaceId space, events::GoProbePlan plan) {
  const std::lock_guard lock(hub_->working);
  if (hub_->find(space) != nullptr) hub_->go.attach(space, std::move(plan));
}

void Port::probe_allocations(SpaceId space, events::AllocationProbePlan plan) {
  const std::lock_guard lock(hub_->working);
  hub_->allocations.attach(space, std::move(plan));
}

void Port::unprobe_go(SpaceId space) {
  const std::lock_guard lock(hub_->working);
  hub_->go.detach(space);
}

bool Port::govern() {
  Hub& hub = *hub_;
  const std::lock_guard lock(hub.working);
  if (hub.go.govern(clock_ns(CLOCK_MONOTONIC), hub.go_hits()) | hub.allocations.changed())
    for (const auto& [id, port] : hub.ports) port->hooks_changed = true;
  state_->hooks_changed |= state_->go.take_news();
  state_->hooks_changed |= table_is_full(hub, *state_) && !std::exchange(state_->table_full, true);
  return std::exchange(state_->hooks_changed, false);
}

size_t Port::attached() const {
  const std::lock_guard lock(hub_->working);
  return hub_->links.size() + hub_->go.links() + hub_->allocations.links();
}

}  // namespace memwhy::probe
