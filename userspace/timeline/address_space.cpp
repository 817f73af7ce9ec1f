// SPDX-License-Identifier: Apache-2.0
#include "timeline/address_space.h"

#include <algorithm>
#include <utility>

#include "events/order.h"
#include "timeline/address_space_state.h"
#include "timeline/reconciler.h"

namespace memwhy::timeline {
namespace {

constexpr uint32_t kMapFixed = 0x10, kMadvFree = 8;

}  // namespace

AddressSpace::AddressSpace(std::unique_ptr<State> state) : state_(std::move(state)) {}
AddressSpace::~AddressSpace() = default;

SpaceId AddressSpace::id() const { return state_->id; }
const events::SpaceStart& AddressSpace::identity() const { return state_->identity; }
TimeNs AddressSpace::first_seen() const { return state_->first_seen; }
std::optional<TimeNs> AddressSpace::ended() const { return state_->ended; }
std::optional<events::SpaceEnd> AddressSpace::end() const { return state_->end; }
std::optional<events::ProcessExit> AddressSpace::exit() const { return state_->exit; }
std::optional<TimeNs> AddressSpace::oom_victim() const { return state_->oom_victim; }
const std::vector<events::Vma>& AddressSpace::vmas() const { return *state_->vmas; }
std::vector<MapSite> AddressSpace::map_sites() const { return state_->sites.all(); }
const std::vector<events::Thread>& AddressSpace::threads() const { return state_->threads; }
std::vector<RssPoint> AddressSpace::rss_curve() const { return state_->curve.points(); }
const std::optional<events::Counters>& AddressSpace::counters() const { return state_->counters; }
const std::optional<events::Counters>& AddressSpace::counters_before() const {
  return state_->counters_before;
}
const std::optional<events::Counters>& AddressSpace::counters_after() const { return state_->counters_after; }
const ScanResult* AddressSpace::last_scan() const {
  return state_->last_scan ? &*state_->last_scan : nullptr;
}
std::vector<FreshFaults::Touched> AddressSpace::fresh_faults() const { return state_->fresh.most_first(); }
const RuntimeTracks& AddressSpace::tracks() const { return state_->tracks; }
std::optional<PageEvidence> AddressSpace::evidence(PageNumber page) const {
  return state_->pages.evidence(page);
}
uint64_t AddressSpace::scans() const { return state_->scans; }
size_t AddressSpace::memory_bytes() const { return state_->memory_bytes(); }

// The tick of an operation; every operation also brings the age limits to its time.
uint64_t AddressSpace::State::tick_of(uint64_t tick, TimeNs time) {
  AgeTicks ages;
  for (size_t i = 0; i < kAgeLimits.size(); ++i)
    ages.limit[i] = time > kAgeLimits[i] ? clock->to_tick(time - kAgeLimits[i]) : 0;
  pages.set_ages(ages);
  return tick != 0 ? tick : clock->to_tick(time);
}

void AddressSpace::State::start(const events::SpaceStart& event, State* parent, bool joined_late) {
  events::SpaceStart known = identity;
  identity = event;
  if (identity.comm.empty()) identity.comm = known.comm;
  if (identity.exe.empty()) identity.exe = known.exe;
  if (identity.exe_binary == BinaryId::kNone) identity.exe_binary = known.exe_binary;
  if (identity.started_ns == 0) identity.started_ns = known.started_ns;
  if (identity.cgroup.empty()) identity.cgroup = known.cgroup;
  if (identity.elf_class.empty()) identity.elf_class = known.elf_class;
  if (identity.tgid == 0) identity.tgid = known.tgid;
  if (identity.parent == SpaceId::kNone) identity.parent = known.parent;
  if (started) return;
  started = true;
  before_attach = event.how == events::StartHow::kAttached || joined_late ||
                  (event.how == events::StartHow::kForked && parent == nullptr);
  if (event.how != events::StartHow::kForked || parent == nullptr || parent == this) return;
  fork_tick = clock->to_tick(first_seen);
  before_attach = parent->before_attach && parent->pages.scans().count == 0;
  pages.settle();
  if (pages.table().empty() && scans == 0)
    pages.fork_from(parent->pages, fork_tick, clock->ticks(kForkWindow));
  if (sites.empty()) sites = parent->sites.forked();
  if (vmas->empty()) vmas = parent->vmas;
  pages.set_mappings(vmas);
}

void AddressSpace::State::operator()(const events::VmaList& list, TimeNs time) {
  auto in_order = [](const events::Vma& a, const events::Vma& b) { return a.range.start < b.range.start; };
  auto copy = std::make_shared<std::vector<events::Vma>>(list.vmas);
  if (!std::is_sorted(copy->begin(), copy->end(), in_order))
    std::stable_sort(copy->begin(), copy->end(), in_order);
  // In a damaged list mappings overlap: the first one keeps the pages.
  uint64_t mapped = 0;
  for (events::Vma& vma : *copy) {
    vma.range.start = std::max(vma.range.start, mapped);
    vma.range.end = std::max(vma.range.start, vma.range.end);
    mapped = vma.range.end;
  }
  vmas = std::move(copy);
  sites.clip(*vmas, time > events::kMostDisorder ? time - events::kMostDisorder : 0);
}

void AddressSpace::State::operator()(const events::PageScan& scan, TimeNs time) {
  if (pages_dropped) return;  // ended long before: the last result remains
  counters_before = scan.before;
  counters_after = scan.after;
  std::erase_if(runtimes, [&](const auto& told) { return told->scan != scan.scan; });
  const Reconciler::Input input{scan, time, vmas, sites, *clock, before_attach, claims_of(runtimes)};
  runtimes.clear();
  last_scan = Reconciler(pages, input).run();
  last_scan->shared = scan.shared;
  if (scan.complete) sites.forget_departed(last_scan->time);
  fresh.clear();
  ++scans;
}

void AddressSpace::State::operator()(const events::VmaMapped& event, TimeNs time) {
  const uint64_t tick = tick_of(event.tick, time);
  // Nothing that is older can be in a new mapping. With MAP_FIXED what was there has left when the call was
  // entered.
  if ((event.flags & kMapFixed) == 0) pages.remove(clamped_pages(event.range), tick);
  sites.add({event.range, event.stack, time, event.prot, event.flags, MapSite::What::kMmap});
}

void AddressSpace::State::operator()(const events::VmaUnmapped& event, TimeNs time) {
  pages.remove(clamped_pages(event.range), tick_of(event.tick, time));
  if (event.why != events::UnmapWhy::kMadvise) sites.cut(event.range, time);
}

void AddressSpace::State::operator()(const events::VmaAdvised& event, TimeNs time) {
  const uint64_t tick = tick_of(event.tick, time);
  if (event.advice == kMadvFree) pages.free(clamped_pages(event.range), tick);
}

void AddressSpace::State::operator()(const events::VmaMoved& event, TimeNs time) {
  pages.move(clamped_pages(event.from), clamped_pages(event.to), tick_of(event.tick, time));
  sites.move(event.from, event.to, {event.to, event.stack, time, 0, 0, MapSite::What::kMremap});
}

void AddressSpace::State::operator()(const events::HeapGrown& event, TimeNs time) {
  pages.remove(clamped_pages(event.range), tick_of(event.tick, time));
  sites.add({event.range, event.stack, time, 0, 0, MapSite::What::kBrk});
}

// Each runtime reports its pages once for each scan; a second report replaces the first.
void AddressSpace::State::operator()(const events::RuntimePages& said, TimeNs) {
  std::erase_if(runtimes, [&](const auto& told) { return told->scan != said.scan; });
  const auto again = std::find_if(runtimes.begin(), runtimes.end(),
                                  [&](const auto& told) { return told->runtime == said.runtime; });
  if (again != runtimes.end())
    *again = std::make_shared<const events::RuntimePages>(said);
  else if (runtimes.size() < events::kMostReadings)
    runtimes.push_back(std::make_shared<const events::RuntimePages>(said));
}

void AddressSpace::State::operator()(const events::Counters& sample, TimeNs time) {
  counters = sample;
  curve.add({time, sample.rss_bytes(), sample.rss_anon_bytes, sample.rss_file_bytes, sample.rss_shmem_bytes,
             sample.peak_bytes});
}

void AddressSpace::State::lost(TimeNs time) { pages.lost(clock->to_tick(time)); }

void AddressSpace::State::finish(const events::SpaceEnd& why, TimeNs time) {
  if (ended) return;
  ended = time;
  end = why;
}

void AddressSpace::State::drop_pages() {
  pages.drop();
  sites.forget_departed(UINT64_MAX);
  pages_dropped = true;
}

size_t AddressSpace::State::memory_bytes() const {
  size_t bytes = sizeof(State) + pages.memory_bytes() + sites.memory_bytes() +
                 vmas->capacity() * sizeof(events::Vma) + curve.memory_bytes() + tracks.memory_bytes();
  if (last_scan) {
    bytes += (last_scan->groups.capacity() + last_scan->arrived.capacity() + last_scan->left.capacity()) *
             sizeof(PageGroup);
  }
  return bytes;
}

}  // namespace memwhy::timeline
