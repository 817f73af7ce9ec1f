// SPDX-License-Identifier: Apache-2.0
#include "goruntime/go_process.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "fmt/format.h"
#include "goruntime/allocations.h"
#include "goruntime/finalizers.h"
#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/holders.h"
#include "goruntime/pages.h"
#include "goruntime/profile.h"
#include "goruntime/reach.h"
#include "goruntime/spans.h"

namespace memwhy::goruntime {

namespace {

constexpr size_t kMostGroups = 256;   // that are reported
constexpr size_t kMostWalked = 4096;  // for which it is reported what they keep; each has a queue of its own
constexpr int kMostGlobalsSearches = 20;
constexpr double kMostOfHeap = 1.25;  // estimates scatter

// What one reading may take. Honest programs need a hundredth of it; the time is for those that hold us up.
constexpr uint64_t kMs = 1'000'000, kMiB = 1 << 20;
constexpr remote::Limits limits(uint64_t read_mib, uint64_t kept_mib, uint64_t cpu_ms, uint64_t time_ms) {
  return {remote::kNoLimit, read_mib * kMiB, kept_mib * kMiB, cpu_ms * kMs, time_ms * kMs};
}
// The search for the tables looks through all variables, and keeps those that are resident until it is done.
constexpr remote::Limits kSearchLimits = limits(4096, 512, 1000, 3000);
constexpr remote::Limits kStatisticsLimits = limits(2048, 256, 500, 2000);
constexpr remote::Limits kHeapLimits = limits(65536, 1024, 2000, 5000);
constexpr remote::Limits kProfileLimits = limits(4096, 256, 2000, 5000);
constexpr remote::Limits kListLimits = limits(65536, 144, 1000, 3000);
constexpr remote::Limits kWalkLimits = limits(65536, 512, 700, 3000);
// Of the last walk: nothing but the end of the recording waits for it, and that has a limit of its own (stop_when).
constexpr remote::Limits kLastWalkLimits = limits(65536, 512, 700, 10000);

// "go1.26.8" and "go1.27rc1" are 26 and 27; 0: not a release.
int minor_of(std::string_view version) {
  constexpr std::string_view kPrefix = "go1.";
  const size_t at = version.find(kPrefix);
  if (at == std::string_view::npos) return 0;
  version.remove_prefix(at + kPrefix.size());
  int minor = 0;
  std::from_chars(version.data(), version.data() + version.size(), minor);
  return minor;
}

events::GoCounters to_event(const HeapCounters& c) {
  events::GoCounters out;
  out.heap_in_use_bytes = c.heap_in_use;
  out.heap_free_bytes = c.heap_free;
  out.heap_released_bytes = c.heap_released;
  out.mapped_bytes = c.mapped_ready;
  out.stack_bytes = c.in_stacks;
  out.work_buffer_bytes = c.in_work_bufs + c.in_ptr_scalar_bits;
  out.live_bytes = c.heap_marked;
  out.allocated_bytes = c.total_alloc;
  out.freed_bytes = c.total_free;
  out.goal_bytes = c.heap_goal;
  out.metadata_bytes = c.mspan_sys + c.mcache_sys + c.gc_misc_sys;
  out.other_bytes = c.other_sys;
  out.profiler_bytes = c.buckhash_sys;
  out.memory_limit_bytes = c.memory_limit;
  out.gc_percent = c.gc_percent;
  out.gc_cycles = c.gc_cycles;
  return out;
}

// Sorted, one of each 64 KiB.
void thin(std::vector<uint64_t>& addresses) {
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end(),
                              [](uint64_t a, uint64_t b) { return a >> 16 == b >> 16; }),
                  addresses.end());
}

// Pages that are, as ranges in order.
void keep_resident(const events::PageScan& scan, std::vector<AddressRange>& out) {
  out.clear();
  for (const events::ScanRun& run : scan.runs) {
    if ((run.flags & events::kScanSwapped) != 0) continue;
    const AddressRange range = {run.page << kPageShift, (run.page + run.count) << kPageShift};
    if (!out.empty() && out.back().end == range.start)
      out.back().end = range.end;
    else
      out.push_back(range);
  }
}

}  // namespace

GoProcess::GoProcess(std::shared_ptr<remote::RemoteMemory> memory, GoProgram program,
                     remote::BudgetClocks clocks)
    : memory_(std::move(memory)), program_(std::move(program)), clocks_(clocks) {
  program_.image.version = program_.version;
}

const Layout* GoProcess::layout() {
  const int minor = minor_of(program_.version);
  if (const Layout* measured = layout_of(minor)) return measured;
  if (own_layout_tried_) return own_layout_ ? &own_layout_->layout : nullptr;
  own_layout_tried_ = true;
  problem_ = program_.version.empty() ? "the Go version is not known"
                                      : program_.version + " is not known to this memwhy";
  if (minor != 0 && program_.own_layout) {
    Result<std::unique_ptr<const DwarfLayout>> own = program_.own_layout(minor);
    program_.own_layout = nullptr;
    if (own) {
      own_layout_ = std::move(*own);
      return &own_layout_->layout;
    }
    problem_ += ", and " + own.error().message();
  }
  problem_ += "; showing the system's view only";
  return nullptr;
}

bool GoProcess::find() {
  // A program that has just started has not made its tables yet.
  if (globals_) return true;
  if (searches_ == kMostGlobalsSearches) return false;
  ++searches_;
  const Layout* const layout = this->layout();
  if (layout == nullptr) return false;
  remote::Budget budget(kSearchLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  Result<Globals> globals = find_globals(memory, *layout, program_.image);
  if (budget.spent() != remote::Budget::Spent::kNothing) {
    if (budget.spent() != remote::Budget::Spent::kTime)
      searches_ = kMostGlobalsSearches;  // the next one would take as much
    globals = Error(ErrorCode::kAbsent,
                    fmt::format("the search for the Go runtime's tables takes more {} than one reading may",
                                budget.spent_name()));
  }
  if (!globals) {
    problem_ = globals.error().message() + "; showing the system's view only";
    return false;
  }
  globals_ = std::move(*globals);
  problem_.clear();
  return true;
}

void GoProcess::tell(Cut which, std::string sentence) {
  if ((told_ & which) != 0) return;
  told_ |= which;
  notices_.push_back(std::move(sentence));
}

// A part of a reading, because the recording had to end, in the place of a whole one would take away what was known.
bool GoProcess::before_stands(const remote::Budget& budget, bool read_before, Cut which,
                              std::string_view what) {
  if (!read_before || budget.spent() != remote::Budget::Spent::kStopped) return false;
  tell(which, fmt::format("{} is as of the look before: the recording had to end.", what));
  return true;
}

HeapReading GoProcess::heap(const events::PageScan& scan) {
  HeapReading out;
  out.pages.space = out.how.space = scan.space;
  out.pages.scan = out.how.scan = scan.scan;
  out.pages.runtime = events::kGoRuntime;
  keep_resident(scan, resident_);
  if (!find()) {
    out.pages.problem = problem_;
    return out;
  }
  remote::Budget budget(kHeapLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  Result<HeapPages> pages = read_pages(memory, *globals_);
  if (!pages) {
    out.pages.problem = pages.error().message();
    return out;
  }
  out.how.quiet = pages->quiet;
  out.how.counters = to_event(pages->after);
  if (!pages->verified) {
    out.how.layout = events::GoLayout::kUnverified;
    out.pages.trust = events::Trust::kUnverified;
    out.pages.problem =
        "the runtime's page classes do not sum to its counters; showing the system's view only";
    return out;
  }
  Result<SpanTable> spans = read_spans(memory, *globals_, *pages);
  if (!spans) {
    out.pages.problem = spans.error().message();
    return out;
  }
  if (budget.spent() != remote::Budget::Spent::kNothing)
    tell(kCutHeap,
         fmt::format(
             "The tables of its Go heap take more {} than one reading may: pages of the spans that were "
             "not read are unclassified.",
             budget.spent_name()));
  out.how.layout = own_layout_ ? events::GoLayout::kDwarf : events::GoLayout::kTable;
  out.how.spans = spans->spans.size();
  out.how.spans_in_motion = spans->in_motion;
  out.pages.trust = events::Trust::kVerified;
  add_runs(*pages, *spans, scan, out.pages);
  return out;
}

void GoProcess::add_runs(HeapPages& pages, const SpanTable& spans, const events::PageScan& scan,
                         events::RuntimePages& out) const {
  out.uses.assign(events::kGoUseNames.begin(), events::kGoUseNames.end());
  out.runs = join_residency(pages, spans, scan.runs);
  const std::vector<events::RuntimeRun> profiler = buckets_.runs();
  const auto middle = out.runs.insert(out.runs.end(), profiler.begin(), profiler.end());
  std::inplace_merge(
      out.runs.begin(), middle, out.runs.end(),
      [](const events::RuntimeRun& a, const events::RuntimeRun& b) { return a.page < b.page; });
  out.tables = std::move(pages.tables);
  for (const PageRun& run : pages.runs)
    if (run.span != 0) out.tables.push_back(run.span);
  thin(out.tables);
}

std::optional<events::GoStatistics> GoProcess::statistics() {
  if (!find()) return std::nullopt;
  remote::Budget budget(kStatisticsLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  Result<HeapCounters> counters = read_counters(memory, *globals_);
  if (!counters) return std::nullopt;
  events::GoStatistics out;
  out.counters = to_event(*counters);
  out.pauses = collections_.take(memory, *globals_);
  out.allocations = read_allocations(memory, *globals_, counters->total_alloc);
  return out;
}

std::optional<events::GoProfile> GoProcess::profile() {
  events::GoProfile out;
  uint64_t in_use = 0;
  const bool found = find();
  remote::Budget budget(kProfileLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  if (found) {
    if (Result<HeapCounters> counters = read_counters(memory, *globals_)) {
      buckets_.update(memory, *globals_, counters->buckhash_sys);
      in_use = counters->heap_in_use;
    }
  }
  if (!program_.profiling_linked) out.source = events::GoProfile::Source::kOffInBinary;
  if (!globals_) return out;
  Result<std::optional<HeapProfile>> profile =
      read_profile(memory, *globals_, buckets_.lists(), program_.sampler);
  if (before_stands(budget, profile_read_, kCutProfile, "Its Go heap profile")) return std::nullopt;
  if (budget.spent() != remote::Budget::Spent::kNothing)
    tell(kCutProfile,
         fmt::format("Its Go heap profile takes more {} than one reading may, and was not read whole.",
                     budget.spent_name()));
  if (!profile || !profile->has_value()) return out;
  // A program with renamed functions seems to lack them, and samples. One whose linker left them out may have taken a sample or
  // two before it turned sampling off.
  if (!program_.profiling_linked && (*profile)->rate == 0) return out;
  out.source = events::GoProfile::Source::kBuckets;
  out.rate = (*profile)->rate;
  out.rate_assumed = (*profile)->rate_assumed;
  // More in use than the heap has: the program chose another rate.
  if (out.rate_assumed && estimated_bytes(**profile) > static_cast<double>(in_use) * kMostOfHeap)
    out.rate = 0;
  for (ProfileBucket& bucket : (*profile)->buckets)
    out.buckets.push_back(
        {bucket.object_bytes, bucket.published_objects, bucket.current_objects, std::move(bucket.stack)});
  profile_read_ |= budget.spent() == remote::Budget::Spent::kNothing;
  return out;
}

namespace {

events::GoGroup describe(const GoroutineList& list, Members members) {
  events::GoGroup out;
  const GoroutineKind& first = list.kind_of(list.goroutines[members.front()]);
  out.count = members.size();
  out.frames.assign(first.frames().begin(), first.frames().end());
  out.wait_reason = std::string(first.wait_reason());
  out.created_at = first.created_at;
  for (const uint32_t i : members) {
    const Goroutine& goroutine = list.goroutines[i];
    out.leaked += list.kind_of(goroutine).status == GoroutineStatus::kLeaked ? 1 : 0;
    out.stack_bytes += goroutine.stack_bytes;
    if (goroutine.waiting_since_ns != 0 &&
        (out.oldest_wait_ns == 0 || goroutine.waiting_since_ns < out.oldest_wait_ns))
      out.oldest_wait_ns = goroutine.waiting_since_ns;
  }
  return out;
}

}  // namespace

// The goroutine that runs finalizers is in one of them, and that waits.
bool GoProcess::finalizer_waits(const GoroutineList& list) const {
  return std::any_of(list.kinds.begin(), list.kinds.end(), [this](const GoroutineKind& kind) {
    return kind.entry != 0 && kind.entry == program_.finalizer_entry && waits(kind.status) &&
           kind.wait_reason() != "finalizer wait";
  });
}

std::optional<SpanTable> GoProcess::spans_now(remote::RemoteMemory& memory) {
  const Result<HeapPages> pages = read_pages(memory, *globals_);
  if (!pages || !pages->verified) return std::nullopt;
  Result<SpanTable> spans = read_spans(memory, *globals_, *pages);
  if (!spans) return std::nullopt;
  return std::move(*spans);
}

void GoProcess::tell_kept(remote::RemoteMemory& memory, SpanTable& spans, const GoroutineList& list,
                          const Groups& groups, events::GoGoroutines& out) {
  std::vector<Members> parked;
  std::vector<size_t> where;  // parked[k] are the members of out.groups[where[k]]
  for (size_t i = 0; i < groups.members.size(); ++i) {
    if (!all_parked(list, groups.members[i])) continue;
    parked.push_back(groups.members[i]);
    where.push_back(i);
  }
  std::optional<FinalizerQueue> queue;
  if (finalizer_waits(list)) queue = read_finalizers(memory, *globals_);
  Reach kept = reach(memory, *globals_, spans, list, parked, ReachBudget{},
                     queue ? std::span<const uint64_t>(queue->objects) : std::span<const uint64_t>());
  if (queue) out.finalizers = {queue->waiting, kept.queued.exclusive_bytes, kept.queued.exclusive_objects};
  out.complete = kept.finished && list.unread == 0;
  for (size_t k = 0; k < parked.size(); ++k) {
    events::GoGroup& group = out.groups[where[k]];
    group.kept_bytes = kept.groups[k].exclusive_bytes;
    group.kept_objects = kept.groups[k].exclusive_objects;
    for (KeptObject& object : kept.groups[k].large)
      group.large.push_back({object.address, object.bytes, std::move(object.allocated_at)});
  }
}

void GoProcess::tell_holders(SpanTable& spans, const GoroutineList& list, const Groups& groups,
                             events::GoGoroutines& out) {
  remote::Budget budget(kLastWalkLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  std::optional<FinalizerQueue> queue;
  if (finalizer_waits(list)) queue = read_finalizers(memory, *globals_);
  const std::vector<AddressRange> variables =
      program_.variables ? program_.variables() : std::vector<AddressRange>();
  HolderRoots roots{variables, groups.members, {}, resident_};
  if (queue) roots.queued = queue->objects;
  Holding holding = holders(memory, *globals_, spans, list, roots, ReachBudget{});
  if (budget.spent() != remote::Budget::Spent::kNothing)
    tell(kCutHolders, fmt::format("From what its heap hangs was not followed to the end: it would take more "
                                  "{} than one reading may.",
                                  budget.spent_name()));
  if (program_.variable_names) name_holders(holding, program_.variable_names);
  out.held = std::move(holding.held);
}

std::optional<events::GoGoroutines> GoProcess::goroutines(bool with_holders) {
  constexpr std::string_view kKept = "What its goroutines keep";
  if (!find()) return std::nullopt;
  remote::Budget budget(kListLimits, stop_, clocks_);
  remote::MeteredMemory memory(*memory_, budget);
  const Result<GoroutineList> list = read_goroutines(memory, *globals_);
  if (before_stands(budget, walk_finished_, kCutWalk, kKept) || !list) return std::nullopt;
  const Groups groups = largest_groups(*list, kMostWalked);
  if (groups.all > kMostWalked)
    tell(kCutGroups,
         fmt::format("Its goroutines have {} different stacks: only the {} of most goroutines are looked at.",
                     groups.all, kMostWalked));
  events::GoGoroutines out;
  out.count = list->goroutines.size() + list->unread;
  for (const Members& each : groups.members) out.groups.push_back(describe(*list, each));
  if (list->cut > 0)
    tell(kCutGoroutines,
         fmt::format("Of its {} goroutines {} were not read: it would take more {} than one reading may.",
                     out.count, list->cut, budget.spent_name().empty() ? "memory" : budget.spent_name()));
  remote::Budget of_walk(kWalkLimits, stop_, clocks_);
  remote::MeteredMemory walked(*memory_, of_walk);
  out.complete = false;
  std::optional<SpanTable> spans = spans_now(walked);
  if (spans) tell_kept(walked, *spans, *list, groups, out);
  if (before_stands(of_walk, walk_finished_, kCutWalk, kKept)) return std::nullopt;
  walk_finished_ |= out.complete;
  if (of_walk.spent() != remote::Budget::Spent::kNothing)
    tell(kCutWalk,
         fmt::format("What its goroutines keep was not followed to the end: it would take more {} than one "
                     "reading may.",
                     of_walk.spent_name()));
  if (spans && with_holders) tell_holders(*spans, *list, groups, out);
  std::stable_sort(out.groups.begin(), out.groups.end(),
                   [](const events::GoGroup& a, const events::GoGroup& b) {
                     return std::tuple(a.kept_bytes + a.stack_bytes, a.count) >
                            std::tuple(b.kept_bytes + b.stack_bytes, b.count);
                   });
  if (out.groups.size() > kMostGroups) out.groups.resize(kMostGroups);
  return out;
}

}  // namespace memwhy::goruntime
