// SPDX-License-Identifier: Apache-2.0
// Passes what comes out of the ring to the ports, and gives back what belongs to a space that no port reads any more.
#include "probe/hub.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/refusals.h"
#include "base/time.h"
#include "probe/decode.h"
#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

constexpr size_t kDrainLimit =
    1 << 16;  // records of one drain: a producer that is faster must not hold us for ever
// Of the thread of the probes on malloc: at the locks of maps, without a pause, and after how many it is checked whom they keep out.
constexpr int kLooksAtOnce = 4;
constexpr uint32_t kMostAtMoment = 32;
constexpr size_t kMostEnded = 256;  // spaces whose chunks wait to be given back: a short one has a dozen
// Events that wait for a port that does not drain, some 40 MiB. Starts and ends may be twice as many: without them it would
// never give back what it traces.
constexpr size_t kMostWaiting = 2 * kDrainLimit;

// What a record reveals about which process is on which space.
struct Life {
  enum : uint8_t { kNone, kStart, kExit } what = kNone;
  SpaceId space{};  // that starts; none: there was no room for another
  Pid tgid = 0;
  bool followers_only = false;  // a child: not for ports that record its parent alone
};

Life life_of(const mw_event_header& header, const void* record, size_t bytes) {
  if (header.kind == MW_EVENT_SPACE_FORK && bytes >= sizeof(mw_space_fork)) {
    mw_space_fork fork;
    std::memcpy(&fork, record, sizeof fork);
    return {Life::kStart, SpaceId{fork.child_space}, fork.child_tgid, true};
  }
  if (header.kind == MW_EVENT_SPACE_EXEC && bytes >= sizeof(mw_space_exec)) {
    mw_space_exec exec;
    std::memcpy(&exec, record, sizeof exec);
    return {Life::kStart, SpaceId{exec.new_space}, header.tgid, (exec.flags & MW_EXEC_BORROWED) != 0};
  }
  if (header.kind == MW_EVENT_PROCESS_EXIT) return {Life::kExit, SpaceId{header.space}, header.tgid, false};
  return {};
}

bool must_arrive(uint32_t kind) {
  return kind == MW_EVENT_SPACE_FORK || kind == MW_EVENT_SPACE_EXEC || kind == MW_EVENT_SPACE_END ||
         kind == MW_EVENT_PROCESS_EXIT;
}

}  // namespace

void RingCloser::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

Hub::Hub(std::unique_ptr<Object> loaded, const Options& options)
    : object(std::move(loaded)),
      shares(object->shares()),
      stacks(
          object->stack_hashes(), object->stacks(), object->stack_slots(),
          [this](uint32_t slot) { shares.free_stack(SpaceId{object->stacks()[slot].space}); },
          object->uses_rules(),
          StackNodes(object->nodes(), MW_NODES, [this](SpaceId owner) { shares.free_node(owner); })),
      pages({object->table(), object->chunk_keys(), object->chunk_ticks(), object->chunk_slots(),
             [this](SpaceId owner) { shares.free_chunk(owner); }},
            stacks),
      members(object->members_fd(), [this](SpaceId space) { return find(space) != nullptr; }),
      go(
          object->go_program(), object->go_way(), object->go_why_none(), options.go_hits_per_s,
          [this](SpaceId space) {
            const std::lock_guard lock(draining);
            std::vector<GoReport*> reports;
            if (space == SpaceId::kNone)
              for (const auto& [id, port] : ports) reports.push_back(&port->go);
            for (const Routes::Way& way : routes.of(space)) reports.push_back(&ports.at(way.port)->go);
            return reports;
          },
          [this](SpaceId space, uint64_t site) { return map_stays_locked(space, site); }),
      allocations(
          object->allocation_program(), object->allocation_way(), object->allocation_why_none(),
          options.allocations,
          [this](SpaceId space) {
            const mw_space* at = find(space);
            return at == nullptr ? nullptr : object->allocations_left() + (at - object->spaces());
          },
          [this](SpaceId space, uint64_t site, std::optional<MapLooks>& looks) {
            return map_state(space, site, looks);
          }),
      run_time(
          options.run_time, clock_ns(CLOCK_MONOTONIC), [this] { return programs(); },
          [] { return Fd(bpf_enable_stats(BPF_STATS_RUN_TIME)); }) {}

Hub::~Hub() = default;

Status Hub::open_ring() {
  const auto take_one = [](void* context, void* record, size_t bytes) -> int {
    auto& hub = *static_cast<Hub*>(context);
    hub.take(record, bytes);
    return ++hub.taken_ < kDrainLimit ? 0 : -ECANCELED;
  };
  ring.reset(ring_buffer__new(object->ring_fd(), take_one, this, nullptr));
  return ring ? Status() : Status(errno_error(ErrorCode::kEnvironment, "opening the ring buffer", errno));
}

// One record, to every port that records its space.
void Hub::take(const void* record, size_t bytes) {
  mw_event_header header{};
  if (bytes < sizeof header) return;
  std::memcpy(&header, record, sizeof header);
  if (header.kind >= MW_EVENT_KINDS) return;
  ++drained[header.kind];
  const SpaceId space{header.space};
  const Life life = life_of(header, record, bytes);
  if (life.what == Life::kExit) members.exited(life.tgid, life.space);
  if (life.what == Life::kStart && life.space != SpaceId::kNone) {
    if (!members.started(life.tgid, life.space)) return;  // recover() passed it on
    if (!routes.start(space, life.space, life.followers_only)) orphans.push_back(life.space);
  }
  for (const Routes::Way& way : routes.of(space)) {
    if (life.followers_only && !way.follows) continue;
    PortState& port = *ports.at(way.port);
    const size_t limit = must_arrive(header.kind) ? 2 * kMostWaiting : kMostWaiting;
    if (port.inbox.size() >= limit)
      ++port.no_room[header.kind];
    else if (decode(record, bytes, stacks, port.inbox, port.id))
      ++port.delivered[header.kind];
  }
}

void Hub::pass(SpaceId space, const events::Event& event, bool followers_only) {
  for (const Routes::Way& way : routes.of(space))
    if (way.follows || !followers_only) ports.at(way.port)->inbox.push_back(event);
}

size_t Hub::pump() {
  taken_ = 0;
  run_time.tick(clock_ns(CLOCK_MONOTONIC));
  if (ring_buffer__consume(ring.get()) >= 0) drains.fetch_add(1, std::memory_order_release);
  recover_starts();
  return taken_;
}

// Starts that found no room in the ring. Those whose parent is one of them come after it.
void Hub::recover_starts() {
  const uint64_t lost_now = lost(MW_EVENT_SPACE_FORK) + lost(MW_EVENT_SPACE_EXEC);
  if (lost_now == starts_lost_) return;
  starts_lost_ = lost_now;
  std::vector<Members::Recovered> waiting = members.recover();
  for (bool moved = true; moved && !waiting.empty();) {
    moved = std::erase_if(waiting, [this](const Members::Recovered& lost_start) {
              const bool forked = lost_start.start.how == events::StartHow::kForked;
              if (!routes.start(lost_start.from, lost_start.start.space, forked)) return false;
              pass(lost_start.from, {clock_ns(CLOCK_MONOTONIC), lost_start.start}, forked);
              return true;
            }) != 0;
  }
  for (const Members::Recovered& nobodys : waiting) orphans.push_back(nobodys.start.space);
}

// Once a second: spaces that were refused more than their share of a table.
void Hub::pass_refused() {
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  if (now < refused_at_ + 1'000'000'000) return;
  refused_at_ = now;
  shares.refused([&](SpaceId space, uint32_t of_stacks, uint32_t of_chunks) {
    if (of_stacks != 0) pass(space, {now, events::Loss{space, kStackShare, of_stacks}}, false);
    if (of_chunks != 0) pass(space, {now, events::Loss{space, kPageShare, of_chunks}}, false);
  });
}

// No record of the space is in a port's inbox before its route is there, and none that is older than the claim comes after.
Result<SpaceId> Hub::claim(Pid tgid, bool follow, uint32_t port) {
  const std::lock_guard lock(draining);
  pump();
  mw_request& ask = object->request();
  ask.tgid = tgid;
  ask.flags = follow ? MW_SPACE_FOLLOW : 0;
  ask.mm = ask.space = ask.kernel = ask.found = 0;
  Result<std::string> claimed = std::string();
  const SpaceId space = members.claim(tgid, [&] {
    claimed = object->iterate("claim");
    if (claimed && ask.space != 0) claimed = object->iterate("space_members");
    return claimed ? SpaceId{ask.space} : SpaceId::kNone;
  });
  if (space != SpaceId::kNone) {
    routes.add(space, port, follow);
    return space;
  }
  if (!claimed) return std::move(claimed).error();
  if (ask.kernel != 0) return kernel_thread(fmt::format("pid {}", tgid));
  if (ask.mm != 0)
    return Error(ErrorCode::kEnvironment, fmt::format("pid {}: no room to trace another process", tgid));
  if (ask.found != 0) return Error(ErrorCode::kTargetGone, fmt::format("pid {} is exiting", tgid));
  return Error(ErrorCode::kTargetGone, fmt::format("no process has pid {}", tgid));
}

void Hub::leave(PortState& port, SpaceId space) {
  bool last = false, followed = false;
  {
    const std::lock_guard lock(draining);
    last = routes.reads_alone(space, port.id);
  }
  if (last) unprobe(space);  // first: a hit after the space is forgotten would be lost
  {
    const std::lock_guard lock(draining);
    routes.remove(space, port.id);
    followed = routes.is_followed(space);
  }
  port.reader.forget(space);
  stacks.forget({space, port.id});
  if (last) {
    forget(space);
    over(space);
  } else if (mw_space* at = followed ? nullptr : find(space)) {
    std::atomic_ref(at->flags).fetch_and(~MW_SPACE_FOLLOW);  // the port that followed its children has left
  }
}

std::optional<std::string> Hub::map_stays_locked(SpaceId space, uint64_t site) {
  const mw_space* at = find(space);
  return at == nullptr ? std::nullopt : MapLooks(*object, at->mm, site).stays_held();
}

// For the thread, which attaches and detaches in between: a lock that is held for a moment delays it for one.
MapState Hub::map_state(SpaceId space, uint64_t site, std::optional<MapLooks>& looks) {
  const std::unique_lock lock(working, std::try_to_lock);  // its holder may wait for the thread
  if (!lock) return MapState::kUnknown;
  const mw_space* at = find(space);
  if (at == nullptr) return MapState::kFree;
  if (!looks) looks.emplace(*object, at->mm, site);
  for (int i = 0; i < kLooksAtOnce; ++i)
    if (!looks->look()) return MapState::kFree;
  if (looks->count() < kMostAtMoment || looks->only_of_file()) return MapState::kHeld;
  return MapState::kFree;
}

void Hub::unprobe(SpaceId space) {
  go.detach(space);
  allocations.detach(space, [&](uint64_t site) { return map_stays_locked(space, site); });
}

// Its faults and calls are recorded no more.
void Hub::forget(SpaceId space) {
  members.forget(space);
  if (mw_space* at = find(space)) {
    if (std::atomic_ref(at->mm).exchange(MW_SLOT_TOMB) > MW_SLOT_BUSY) shares.left();
  }
}

void Hub::over(SpaceId space) {
  unprobe(space);
  pages.end(space);
  if (pages.ended() >= kMostEnded) settle();
}

// The kernel side follows the children of a space for one port; another port's are left when that one leaves.
void Hub::release_orphans() {
  std::vector<SpaceId> all;
  {
    const std::lock_guard lock(draining);
    all.swap(orphans);
  }
  for (const SpaceId space : all) {
    forget(space);
    pages.end(space);
  }
}

// MEMBARRIER_CMD_GLOBAL waits for an RCU grace period. Where it is not allowed (nohz_full), for longer than any program of
// ours runs.
void Hub::grace_period() {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  const timespec pause{0, 50'000'000};
  ::nanosleep(&pause, nullptr);
}

void Hub::settle() {
  while (pages.settle(fault_count(MW_CHUNKS_NEW), grace_period)) {
  }
  collect_stacks();  // also where nothing is recorded any more: the next recording needs the room
}

// Mark and sweep. Only once half of the slots or of the nodes are in use, and only when the ring was emptied twice since the
// last pass: no event that names a slot by its old meaning is left then.
void Hub::collect_stacks() {
  const uint64_t used = fault_count(MW_STACKS_NEW) - stacks.freed();
  const uint64_t drained_now = drains.load(std::memory_order_acquire);
  const bool crowded = used * 2 >= stacks.slots() || acquire(object->shares().all->nodes) >= MW_NODES / 2;
  if ((!crowded && !stacks.has_tombs()) || drained_now < drains_at_sweep + 2) return;
  if (stacks.has_tombs()) grace_period();
  std::vector<bool> named(stacks.slots());
  pages.mark(named);
  stacks.sweep(named);
  drains_at_sweep = drained_now;
}

void Hub::detach_if_idle() {
  if (links.empty() || traces_any()) return;
  links.clear();
}

mw_space* Hub::find(SpaceId space) const {
  mw_space* const end = object->spaces() + object->space_slots();
  mw_space* const at = std::find_if(object->spaces(), end, [&](mw_space& s) {
    return std::atomic_ref(s.mm).load(std::memory_order_acquire) > MW_SLOT_BUSY && SpaceId{s.space} == space;
  });
  return at == end ? nullptr : at;
}

// A process in exec has left its space and is not on the next one yet: it is a member of one that has ended.
bool Hub::traces_any() const {
  return members.any() ||
         std::any_of(object->spaces(), object->spaces() + object->space_slots(), [](mw_space& s) {
           return std::atomic_ref(s.mm).load(std::memory_order_acquire) > MW_SLOT_TOMB;
         });
}

}  // namespace memwhy::probe
