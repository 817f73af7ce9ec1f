// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/time.h"
#include "probe/decode.h"
#include "probe/members.h"
#include "probe/object.h"
#include "probe/page_table.h"
#include "probe/shares.h"
#include "probe/stack_table.h"

namespace memwhy::probe {
namespace {

constexpr size_t kDrainLimit =
    1 << 16;  // records of one drain: a producer that is faster must not hold us for ever
constexpr size_t kMostEnded = 256;  // spaces whose chunks wait to be given back: a short one has a dozen

struct RingCloser {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

// Returns when every BPF program that runs now has ended: MEMBARRIER_CMD_GLOBAL waits for an RCU grace
// period. Where it is not allowed (nohz_full), for longer than any program of ours runs.
void grace_period() {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  const timespec pause{0, 50'000'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace

struct KernelProbe::State {
  State(std::unique_ptr<Object> loaded, ring_buffer* opened_ring, const Options& options)
      : object(std::move(loaded)),
        shares(object->shares()),
        stacks(object->stack_hashes(), object->stacks(), object->stack_slots(),
               [this](uint32_t slot) { shares.free_stack(SpaceId{object->stack_owners()[slot]}); }),
        pages({object->table(), object->chunk_keys(), object->chunk_ticks(), object->chunk_slots(),
               [this](SpaceId owner) { shares.free_chunk(owner); }},
              stacks),
        members(object->members_fd(), [this](SpaceId space) { return find(space) != nullptr; }),
        ring(opened_ring),
        go(object->go_program(), object->go_way(), object->go_why_none(), options.go_hits_per_s),
        run_time(
            options.run_time, clock_ns(CLOCK_MONOTONIC), [this] { return programs(); },
            [] { return Fd(bpf_enable_stats(BPF_STATS_RUN_TIME)); }) {}

  uint64_t fault_count(mw_fault_counter which) const {
    return sum([&](const mw_counters& c) -> const mw_u64& { return c.fault[which]; });
  }
  template <typename Field>
  uint64_t sum(Field field) const {
    uint64_t total = 0;
    for (uint32_t cpu = 0; cpu < object->cpus(); ++cpu)
      total += std::atomic_ref(const_cast<mw_u64&>(field(object->counters()[cpu])))
                   .load(std::memory_order_acquire);
    return total;
  }
  uint64_t seen(size_t kind) const {
    return sum([&](const mw_counters& c) -> const mw_u64& { return c.seen[kind]; });
  }
  uint64_t lost(size_t kind) const {
    return sum([&](const mw_counters& c) -> const mw_u64& { return c.lost[kind]; });
  }
  GoHits go_hits() const {
    GoHits all;
    for (size_t i = 0; i < events::kGoFunctions; ++i) {
      all.hits[i] = sum([&](const mw_counters& c) -> const mw_u64& { return c.go_hits[i]; });
      all.ns[i] = sum([&](const mw_counters& c) -> const mw_u64& { return c.go_ns[i]; });
    }
    return all;
  }

  // As the kernel counts them; go_call keeps the time of each probe itself.
  std::vector<RunTime::Program> programs() const {
    std::vector<RunTime::Program> all;
    for (const auto& [name, fd] : object->programs()) {
      bpf_prog_info info{};
      uint32_t length = sizeof info;
      if (name != "go_call" && bpf_obj_get_info_by_fd(fd, &info, &length) == 0)
        all.push_back({name, info.run_cnt, info.run_time_ns});
    }
    return all;
  }

  mw_space* find(SpaceId space) const {
    mw_space* const end = object->spaces() + object->space_slots();
    mw_space* const at = std::find_if(object->spaces(), end, [&](mw_space& s) {
      return std::atomic_ref(s.mm).load(std::memory_order_acquire) > MW_SLOT_BUSY &&
             SpaceId{s.space} == space;
    });
    return at == end ? nullptr : at;
  }
  // A process in exec has left its space and is not on the next one yet: it is a member of one that has ended.
  bool traces_any() const {
    return members.any() ||
           std::any_of(object->spaces(), object->spaces() + object->space_slots(), [](mw_space& s) {
             return std::atomic_ref(s.mm).load(std::memory_order_acquire) > MW_SLOT_TOMB;
           });
  }
  void detach_if_idle() {
    if (!links.empty() && !traces_any()) links.clear();
  }
  void collect_stacks();
  void tell_refused(const Emit& emit);

  std::unique_ptr<Object> object;
  Shares shares;
  StackTable stacks;
  PageTable pages;
  Members members;
  std::unique_ptr<ring_buffer, RingCloser> ring;
  std::vector<Link> links;
  GoProbes go;
  RunTime run_time;
  // drain's own
  std::vector<events::Event> decoded;
  size_t taken = 0;
  std::array<uint64_t, MW_EVENT_KINDS> delivered{}, lost_told{};
  std::atomic<uint64_t> drains{0};  // that emptied the ring
  uint64_t refused_told_at = 0;
  // reclaim's own
  uint64_t drains_at_sweep = 0;
};

KernelProbe::KernelProbe(std::unique_ptr<State> state) : state_(std::move(state)) {}
KernelProbe::~KernelProbe() = default;

Result<std::unique_ptr<KernelProbe>> KernelProbe::open(const Options& options) {
  Result<std::unique_ptr<Object>> object = Object::load(options);
  if (!object) return std::move(object).error();
  const int ring_fd = (*object)->ring_fd();
  auto state = std::make_unique<State>(std::move(object).value(), nullptr, options);
  const auto take = [](void* context, void* record, size_t bytes) -> int {
    auto& s = *static_cast<State*>(context);
    mw_event_header header{};
    if (bytes >= sizeof header) std::memcpy(&header, record, sizeof header);
    if (decode(record, bytes, s.stacks, s.decoded)) ++s.delivered[header.kind];
    return ++s.taken < kDrainLimit ? 0 : -ECANCELED;
  };
  state->ring.reset(ring_buffer__new(ring_fd, take, state.get(), nullptr));
  if (!state->ring) return errno_error(ErrorCode::kEnvironment, "opening the ring buffer", errno);
  return std::unique_ptr<KernelProbe>(new KernelProbe(std::move(state)));
}

Result<SpaceId> KernelProbe::trace(Pid tgid, bool follow) {
  State& s = *state_;
  if (s.links.empty()) {  // first: what happens from the claim on must not be missed
    Result<std::vector<Link>> links = s.object->attach_all();
    if (!links) return std::move(links).error();
    s.links = std::move(links).value();
  }
  mw_request& ask = s.object->request();
  ask.tgid = tgid;
  ask.flags = follow ? MW_SPACE_FOLLOW : 0;
  ask.mm = ask.space = ask.kernel = ask.found = 0;
  Result<std::string> claimed = std::string();
  const SpaceId space = s.members.claim(tgid, [&] {
    claimed = s.object->iterate("claim");
    if (claimed && ask.space != 0) claimed = s.object->iterate("space_members");
    return claimed ? SpaceId{ask.space} : SpaceId::kNone;
  });
  if (space != SpaceId::kNone) return space;
  s.detach_if_idle();
  if (!claimed) return std::move(claimed).error();
  if (ask.kernel != 0)
    return Error(ErrorCode::kUsage,
                 fmt::format("pid {} is a kernel thread: it has no memory of its own", tgid));
  if (ask.mm != 0)
    return Error(ErrorCode::kEnvironment, fmt::format("pid {}: no room to trace another process", tgid));
  if (ask.found != 0) return Error(ErrorCode::kTargetGone, fmt::format("pid {} is exiting", tgid));
  return Error(ErrorCode::kTargetGone, fmt::format("no process has pid {}", tgid));
}

Status KernelProbe::untrace(SpaceId space) {
  State& s = *state_;
  s.go.detach(space);  // first: a hit after the space is forgotten would be lost
  s.members.forget(space);
  if (mw_space* at = s.find(space)) {
    if (std::atomic_ref(at->mm).exchange(MW_SLOT_TOMB) > MW_SLOT_BUSY) s.shares.left();
  }
  reclaim(space, std::nullopt);
  return {};
}

size_t KernelProbe::drain(const Emit& emit) {
  State& s = *state_;
  s.taken = 0;
  s.run_time.tick(clock_ns(CLOCK_MONOTONIC));
  s.decoded.clear();
  if (ring_buffer__consume(s.ring.get()) >= 0) s.drains.fetch_add(1, std::memory_order_release);
  for (events::Event& event : s.decoded)
    if (s.members.deliver(event)) emit(std::move(event));
  bool starts_lost = false;
  for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) {
    const uint64_t lost = s.lost(kind);
    if (lost == s.lost_told[kind]) continue;
    const char* what = loss_name(static_cast<mw_event_kind>(kind));
    emit({clock_ns(CLOCK_MONOTONIC), events::Loss{SpaceId::kNone, what, lost - s.lost_told[kind]}});
    s.lost_told[kind] = lost;
    starts_lost |= kind == MW_EVENT_SPACE_FORK || kind == MW_EVENT_SPACE_EXEC;
  }
  s.tell_refused(emit);
  if (starts_lost)
    for (events::SpaceStart& start : s.members.recover()) emit({clock_ns(CLOCK_MONOTONIC), std::move(start)});
  return s.taken;
}

// Once a second: who was refused more than its share of a table.
void KernelProbe::State::tell_refused(const Emit& emit) {
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  if (now < refused_told_at + 1'000'000'000) return;
  refused_told_at = now;
  shares.refused([&](SpaceId space, uint32_t of_stacks, uint32_t of_chunks) {
    if (of_stacks != 0) emit({now, events::Loss{space, kStackShare, of_stacks}});
    if (of_chunks != 0) emit({now, events::Loss{space, kPageShare, of_chunks}});
  });
}

void KernelProbe::lost_stack(StackId stack, SpaceId space) { state_->stacks.lost(stack, space); }

events::Coverage KernelProbe::coverage() {
  State& s = *state_;
  events::Coverage c;
  // Lost before seen: what is counted in between must not make more lost than seen.
  for (size_t kind = 1; kind < MW_EVENT_KINDS; ++kind) {
    const uint64_t lost = s.lost(kind);
    c.kinds.push_back({kind_name(static_cast<mw_event_kind>(kind)), s.seen(kind), s.delivered[kind], lost});
  }
  c.faults_table_full = s.fault_count(MW_FAULTS_TABLE_FULL);
  c.faults_recorded = s.fault_count(MW_FAULTS_RECORDED);
  c.faults_seen = s.fault_count(MW_FAULTS_SEEN);
  c.kinds.push_back({"page_fault", c.faults_seen, c.faults_recorded, c.faults_table_full});
  c.stacks_new = s.fault_count(MW_STACKS_NEW);
  c.stacks_lost = s.fault_count(MW_STACKS_LOST);
  c.stacks_unreadable = s.fault_count(MW_STACKS_UNREADABLE);
  c.frames_by_helper = s.fault_count(MW_FRAMES_BY_HELPER);
  c.chunks_limit = s.object->chunk_slots();
  c.chunks_used = s.fault_count(MW_CHUNKS_NEW) - s.pages.freed();
  c.stacks_limit = s.object->stack_slots();
  c.stacks_used = c.stacks_new - s.stacks.freed();
  c.programs = s.run_time.costs(clock_ns(CLOCK_MONOTONIC));
  // One program for all of them: it keeps their time itself.
  const GoHits go = s.go_hits();
  for (size_t i = 0; i < events::kGoFunctions; ++i)
    if (go.hits[i] != 0)
      c.programs.push_back({std::string("go_") + events::kGoFunctionNames[i], go.hits[i], go.ns[i], 0});
  return c;
}

events::HookReport KernelProbe::hooks() const {
  events::HookReport report;
  report.stack_read = state_->object->reads_direct() ? "direct" : "bulk";
  const char* covered_by = "none";
  for (const Choice& choice : state_->object->choices()) {
    if (choice.way && choice.way->covers_kernel_faults) covered_by = choice.way->attach;
    const char* how = choice.covered ? covered_by : choice.way ? choice.way->attach : "none";
    report.hooks.push_back({choice.hook->name, how, choice.hook->purpose});
    if (!choice.way && !choice.covered) report.not_seen.emplace_back(choice.hook->without);
  }
  state_->go.report(report);
  report.not_seen.emplace_back(
      "Pages that are populated without a fault (MAP_POPULATE, mlock, direct I/O, userfaultfd, another "
      "process's writes) "
      "have no fault stack.");
  report.not_seen.emplace_back(
      "Memory that others take away (reclaim, process_madvise, truncation of a file, shmdt) is seen at the "
      "next scan.");
  return report;
}

Result<events::ClockAnchor> KernelProbe::clock() {
  const mw_request& answer = state_->object->request();
  if (Status done = state_->object->run("clock"); !done) return std::move(done).error();
  const uint64_t realtime = clock_ns(CLOCK_REALTIME), monotonic = clock_ns(CLOCK_MONOTONIC);
  return events::ClockAnchor{answer.time_ns, answer.boot_ns, realtime - (monotonic - answer.time_ns),
                             answer.tick};
}

bool KernelProbe::read_table(SpaceId space, bool restate, const Emit& emit) {
  State& s = *state_;
  // The tick first, and the claims before the keys: whatever comes in between is read again next time.
  const Result<events::ClockAnchor> now = clock();
  const uint64_t claims = s.fault_count(MW_CHUNKS_NEW);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  events::PageTableRuns runs;
  std::vector<events::Stack> fresh;
  s.pages.read(space, restate, now ? now->tick : 0, claims, runs, fresh);
  const TimeNs time = now ? now->monotonic_ns : clock_ns(CLOCK_MONOTONIC);
  for (events::Stack& stack : fresh) emit({time, std::move(stack)});
  const bool changed = !runs.runs.empty() || restate;
  if (changed) emit({time, std::move(runs)});
  return changed;
}

void KernelProbe::resend_stacks(const Emit& emit) {
  std::vector<events::Stack> stacks;
  state_->stacks.resend(stacks);
  for (events::Stack& stack : stacks) emit({clock_ns(CLOCK_MONOTONIC), std::move(stack)});
}

Result<events::ThreadList> KernelProbe::threads(SpaceId space) {
  State& s = *state_;
  const mw_space* at = s.find(space);
  if (!at) return Error(ErrorCode::kTargetGone, "the address space has ended");
  s.object->request().mm = at->mm;
  Result<std::string> lines = s.object->iterate("space_threads");
  if (!lines) return std::move(lines).error();
  events::ThreadList list{space, {}};
  for (size_t i = 0; i + sizeof(mw_thread) <= lines->size(); i += sizeof(mw_thread)) {
    mw_thread thread;
    std::memcpy(&thread, lines->data() + i, sizeof thread);
    list.threads.push_back({thread.tid, thread.sp, thread.tls});
  }
  return list;
}

void KernelProbe::reclaim(SpaceId space, const std::optional<std::vector<AddressRange>>& mapped) {
  State& s = *state_;
  const uint64_t claims = s.fault_count(MW_CHUNKS_NEW);
  if (mapped) {
    std::vector<AddressRange> sorted = *mapped;
    std::sort(sorted.begin(), sorted.end());
    s.pages.reclaim(space, sorted, claims, grace_period);
    s.collect_stacks();
  } else {
    s.go.detach(space);
    s.pages.end(space);
    s.stacks.forget(space);
    if (s.pages.ended() >= kMostEnded) settle();
  }
  s.detach_if_idle();
}

void KernelProbe::settle() {
  State& s = *state_;
  bool any = false;
  while (s.pages.settle(s.fault_count(MW_CHUNKS_NEW), grace_period)) any = true;
  if (any) s.collect_stacks();
  s.detach_if_idle();  // its last process may have been gone later than its space
}

// Mark and sweep. Only once half of the table is in use, and only when the ring was emptied twice since the
// last pass: no event that names a slot by its old meaning is left then.
void KernelProbe::State::collect_stacks() {
  const uint64_t used = fault_count(MW_STACKS_NEW) - stacks.freed();
  const uint64_t drained = drains.load(std::memory_order_acquire);
  if ((used * 2 < stacks.slots() && !stacks.has_tombs()) || drained < drains_at_sweep + 2) return;
  if (stacks.has_tombs()) grace_period();
  std::vector<bool> named(stacks.slots());
  pages.mark(named);
  stacks.sweep(named);
  drains_at_sweep = drained;
}

void KernelProbe::is_go(SpaceId space) {
  if (mw_space* at = state_->find(space)) std::atomic_ref(at->flags).fetch_or(MW_SPACE_GO);
}

void KernelProbe::probe_go(SpaceId space, events::GoProbePlan plan) {
  if (state_->find(space) != nullptr) state_->go.attach(space, std::move(plan));
}

void KernelProbe::unprobe_go(SpaceId space) { state_->go.detach(space); }

bool KernelProbe::govern() { return state_->go.govern(clock_ns(CLOCK_MONOTONIC), state_->go_hits()); }

size_t KernelProbe::attached() const { return state_->links.size() + state_->go.links(); }

}  // namespace memwhy::probe
