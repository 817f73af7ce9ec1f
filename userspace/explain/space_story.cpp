// SPDX-License-Identifier: Apache-2.0
#include "explain/space_story.h"

#include <algorithm>
#include <iterator>

#include "base/whole.h"
#include "explain/container.h"
#include "explain/go/story.h"
#include "explain/go/timeline.h"
#include "explain/growth.h"
#include "explain/rules/rule.h"

namespace memwhy::explain {
namespace {

using timeline::AddressSpace;
using timeline::PageGroup;
using timeline::Timeline;

constexpr size_t kCurvePoints = 512;

// The executable of a forked child is its parent's until an event changes it.
const events::BinaryInfo* exe_of(const Timeline& timeline, const AddressSpace& space) {
  const AddressSpace* at = &space;
  for (int depth = 0; at != nullptr && depth < 16; ++depth) {
    const events::SpaceStart& identity = at->identity();
    if (identity.exe_binary != BinaryId::kNone) return timeline.binary(identity.exe_binary);
    if (identity.how != events::StartHow::kForked) return nullptr;
    at = timeline.space(identity.parent);
  }
  return nullptr;
}

// The file with the Go runtime of a process: its executable, or a library of it where a Go runtime was read. nullptr: none.
const events::BinaryInfo* go_of(const Timeline& timeline, const events::BinaryInfo* exe,
                                const timeline::ScanResult& scan) {
  if (exe != nullptr && exe->go) return exe;
  const auto is_go = [](const timeline::RuntimeTold& told) {
    return told.pages->runtime == events::kGoRuntime;
  };
  if (!scan.runtimes || std::none_of(scan.runtimes->told.begin(), scan.runtimes->told.end(), is_go))
    return nullptr;
  for (const events::BinaryInfo* binary : timeline.go_binaries())
    for (const events::Vma& vma : scan.mappings())
      if (same_file(vma, *binary)) return binary;
  return nullptr;
}

bool doubtful(Owner owner) {
  return owner == Owner::kAnonOther || owner == Owner::kAnonMapped || owner == Owner::kAnonBeforeAttach ||
         owner == Owner::kUnattributed;
}

bool same_doubt(const Doubt& a, const Doubt& b) {
  return a.address == b.address && a.owner == b.owner && a.arrived == b.arrived &&
         a.own_stack == b.own_stack && a.by_program == b.by_program;
}

void count(const std::vector<PageGroup>& groups, const Owners& owners, Stacks& stacks,
           const std::vector<events::Vma>& vmas, bool arrived, OwnerBytes& bytes,
           std::vector<Doubt>& doubts) {
  for (const PageGroup& group : groups) {
    Owner owner = owners.owner_of(group, stacks);
    of(bytes, owner) += group.bytes();
    if (!doubtful(owner) || group.vma >= vmas.size()) continue;
    const StackKind kind = Owners::stack_kind(group, stacks);
    Doubt doubt{vmas[group.vma].range.start,      owner,        arrived, Owners::has_own_stack(kind),
                Owners::touched_by_program(kind), group.bytes()};
    if (!doubts.empty() && same_doubt(doubts.back(), doubt)) {
      doubts.back().bytes += doubt.bytes;
    } else {
      doubts.push_back(doubt);
    }
  }
}

// Both series by time; scans carry a ledger, points between do not.
std::vector<TimelinePoint> curve_of(const std::vector<Sample>& samples,
                                    const std::vector<timeline::RssPoint>& points, const OwnerTable& table) {
  std::vector<TimelinePoint> scans, between, out;
  for (const Sample& sample : samples) {
    TimelinePoint& point =
        scans.emplace_back(TimelinePoint{sample.time, sample.rss_bytes, {}, {}, sample.older, {}});
    for (size_t i = 0; i < table.owners(); ++i) {
      const Owner owner = static_cast<Owner>(i);
      if (sample.bytes[i] > 0) point.ledger.push_back({owner, sample.bytes[i]});
      if (sample.arrived[i] > 0 || sample.left[i] > 0)
        point.flows.push_back({owner, sample.arrived[i], sample.left[i]});
    }
  }
  size_t step = (points.size() + kCurvePoints - 1) / kCurvePoints;
  for (size_t i = 0; i < points.size(); i += step) {
    between.push_back(TimelinePoint{points[i].time, points[i].rss_bytes, {}, {}, {}, {}});
  }
  std::merge(scans.begin(), scans.end(), between.begin(), between.end(), std::back_inserter(out),
             [](const TimelinePoint& a, const TimelinePoint& b) { return a.time < b.time; });
  return out;
}

std::string_view largest_family(const Ledger& ledger) {
  std::string_view largest;
  uint64_t most = 0;
  const OwnerTable& table = *ledger.table;
  for (size_t i = 0; i < table.owners(); ++i) {
    std::string_view family = table.name(static_cast<Owner>(i)).family;
    uint64_t bytes = 0;
    for (size_t k = 0; k < table.owners(); ++k) {
      if (table.name(static_cast<Owner>(k)).family == family) bytes += ledger.bytes[k];
    }
    if (bytes > most) {
      most = bytes;
      largest = family;
    }
  }
  return largest;
}

void add_rates(const std::vector<Sample>& samples, LedgerLine& line) {
  const Owner owner = line.owner;
  line.growth_bytes_per_s = trend_of(samples, {owner}).bytes_per_s;
  if (samples.size() < 2 || samples.back().time <= samples.front().time) return;
  double seconds = static_cast<double>(samples.back().time - samples.front().time) / 1e9;
  uint64_t arrived = 0, left = 0;
  for (size_t i = 1; i < samples.size(); ++i) {
    arrived += of(samples[i].arrived, owner);
    left += of(samples[i].left, owner);
  }
  line.arrived_bytes_per_s = static_cast<double>(arrived) / seconds;
  line.left_bytes_per_s = static_cast<double>(left) / seconds;
}

void add_counters(const std::optional<events::Counters>& before, const std::optional<events::Counters>& after,
                  RssSummary& rss) {
  if (!before && !after) return;
  const events::Counters& first = before ? *before : *after;
  const events::Counters& second = after ? *after : *before;
  rss.counter_bytes = (first.rss_bytes() + second.rss_bytes()) / 2;
  rss.counter_error_bytes = std::max(first.error_bytes, second.error_bytes);
}

void add_beside(const events::Counters& counters, ProcessExplanation& out) {
  out.beside_rss = {{"swap", counters.swap_bytes},
                    {"hugetlb", counters.hugetlb_bytes},
                    {"page_tables", counters.page_table_bytes}};
  if (counters.cgroup_usage_bytes) out.beside_rss.emplace_back("cgroup_usage", *counters.cgroup_usage_bytes);
  if (counters.cgroup_limit_bytes) out.beside_rss.emplace_back("cgroup_limit", *counters.cgroup_limit_bytes);
}

// Each allocator's last reading, with the summary of all of its readings.
std::vector<AllocatorFacts> allocator_facts(
    const std::vector<std::shared_ptr<const events::AllocatorHeap>>& last, const AddressSpace& space) {
  std::vector<AllocatorFacts> out;
  for (const auto& heap : last)
    for (const timeline::AllocatorTrack& track : space.tracks().allocators.all())
      if (track.last()->allocator == heap->allocator) out.push_back({heap, track.curve(), track.sizes()});
  return out;
}

constexpr size_t kTouchersSaid = 3;

std::vector<std::pair<std::string, uint64_t>> touched_last(const AddressSpace& space, const Stacks& stacks) {
  std::vector<std::pair<std::string, uint64_t>> out;
  for (const timeline::FreshFaults::Touched& each : space.fresh_faults()) {
    if (out.size() == kTouchersSaid) break;
    const std::vector<Frame> frames = stacks.chain(each.stack).frames;
    if (frames.empty()) continue;
    out.emplace_back(text_of(telling_frame(frames), FrameText::kNoPath), each.pages * kPageBytes);
  }
  return out;
}

// The kernel's counters over time.
struct RssCurves {
  std::vector<RssPart> rss;
  std::vector<TrendPoint> anonymous, peaks;
};

RssCurves curves_of(const AddressSpace& space) {
  RssCurves out;
  for (const timeline::RssPoint& point : space.rss_curve()) {
    out.rss.push_back({point.time, point.rss_bytes, point.anon_bytes});
    out.anonymous.push_back({point.time, point.anon_bytes});
    out.peaks.push_back({point.time, point.peak_bytes});
  }
  return out;
}

ProcessFacts facts_of(const AddressSpace& space, const events::BinaryInfo* exe, const events::BinaryInfo* go,
                      const std::vector<events::Thread>& threads, const Stacks& stacks) {
  ProcessFacts facts;
  facts.comm = space.identity().comm;
  if (go != nullptr) facts.go = go->go;
  facts.race_build = race_layout_of(go, space) != nullptr;
  facts.threads = threads.size();
  facts.exe = exe;
  facts.list = &threads;
  facts.counters = space.counters();
  if (const auto curve = space.rss_curve(); !curve.empty()) facts.counters_time = curve.back().time;
  facts.oom_time = space.oom_victim();
  if (facts.oom_time) facts.touched_last = touched_last(space, stacks);
  return facts;
}

}  // namespace

void SpaceStory::on_scan(const Timeline& timeline, const AddressSpace& space,
                         const timeline::ScanResult& scan) {
  // A scan that the target's end cut short must not pass for a fall of RSS.
  bool keep = scan.complete || !scan_ || !scan_->complete;
  const std::vector<events::Vma>& vmas = scan.mappings();
  Stacks stacks(timeline, space.id(), vmas, &stacks_);
  const events::BinaryInfo* exe = exe_of(timeline, space);
  owners_.decide({space, vmas, space.threads(), scan, exe, go_of(timeline, exe, scan)}, stacks);
  if (!keep) return;

  Sample sample;
  sample.time = scan.time;
  sample.rss_bytes = scan.resident_pages * kPageBytes;
  for (const PageGroup& group : scan.groups)
    for (size_t i = 0; i < sample.older.size(); ++i) sample.older[i] += group.older_pages[i] * kPageBytes;
  std::vector<Doubt> doubts;
  count(scan.groups, owners_, stacks, vmas, false, sample.bytes, doubts);
  owners_.uses().part(scan, sample.bytes);
  if (last_sample_) {
    count(scan.arrived, owners_, stacks, vmas, true, sample.arrived, doubts);
    for (const PageGroup& group : scan.left) {
      if (std::optional<Owner> owner = owners_.owner_of_left(group, stacks))
        of(sample.left, *owner) += group.bytes();
    }
    log_.compare(*last_sample_, sample, owners_.table());
  }
  if (!first_sample_) first_sample_ = sample;
  last_sample_ = sample;
  history_.add(sample, std::move(doubts));
  scan_ = scan;
  threads_ = space.threads();
  before_ = space.counters_before();
  after_ = space.counters_after();
  go_reading_ = space.tracks().go.reading();
  if (go_reading_ && go_reading_->scan != scan.scan) go_reading_ = nullptr;
  allocators_.clear();
  for (const timeline::AllocatorTrack& track : space.tracks().allocators.all())
    if (track.last()->scan == scan.scan) allocators_.push_back(track.last());
}

void SpaceStory::add_ledger(const Timeline& timeline, const AddressSpace& space,
                            std::optional<uint64_t> heap_profile_bytes, ProcessExplanation& out) const {
  const std::vector<events::Vma>& vmas = scan_->mappings();
  Stacks stacks(timeline, space.id(), vmas);
  Owners owners = owners_;
  const events::BinaryInfo* exe = exe_of(timeline, space);
  const events::BinaryInfo* go_file = go_of(timeline, exe, *scan_);
  Evidence evidence{space, vmas, threads_, *scan_, exe, go_file};
  owners.decide(evidence, stacks);
  StackTable table(out.attribution);
  Ledger ledger = make_ledger(evidence, owners, stacks, table, out.attribution);
  std::vector<Sample> samples = history_.settled(owners);
  for (LedgerLine& line : ledger.lines) add_rates(samples, line);
  out.rss.bytes = ledger.rss.bytes;
  out.rss.anon = ledger.rss.anon;
  out.rss.file = ledger.rss.file;
  out.rss.shmem = ledger.rss.shmem;
  add_counters(before_, after_, out.rss);
  out.rss.start_bytes = first_sample_->rss_bytes;
  uint64_t peak = ledger.rss.bytes;
  for (const Sample& sample : samples) peak = std::max(peak, sample.rss_bytes);
  if (const auto& counters = space.counters()) peak = std::max(peak, counters->peak_bytes);
  out.rss.peak_bytes = peak;

  out.coverage.unattributed_bytes = of(ledger.bytes, Owner::kUnattributed);
  out.coverage.before_attach_bytes = of(ledger.bytes, Owner::kAnonBeforeAttach);
  out.coverage.truncated_stack_bytes = ledger.truncated_stack_bytes;
  out.coverage.lost_stack_bytes = ledger.lost_stack_bytes;
  out.coverage.stacks = ledger.stacks;
  out.coverage.stale_bytes = ledger.stale_bytes;
  out.coverage.doubtful_bytes = scan_->doubtful_pages * kPageBytes;
  out.coverage.scan_complete = ledger.scan_complete;
  out.coverage.runtimes = RuntimeUses::readings(scan_->runtimes.get(), owners.table());
  if (out.rss.counter_bytes) out.coverage.rss_gap_bytes = minus(*out.rss.counter_bytes, out.rss.bytes);
  ProcessFacts facts = facts_of(space, exe, go_file, threads_, stacks);
  facts.shared = scan_->shared;
  out.anon_share_bytes = share_of_anon(out.rss.anon, scan_->shared);
  std::optional<GoFacts> go;
  if (facts.go) go.emplace(timeline, space, *scan_, go_reading_.get(), heap_profile_bytes);
  if (go) {
    describe_go(*go, table, out);
    out.attribution.allocated = allocated_at(*go, table);
  }
  const std::vector<AllocatorFacts> allocators = allocator_facts(allocators_, space);
  if (space.tracks().calls.calls() != 0) out.allocations = allocation_sites(space, stacks);
  const RssCurves curves = curves_of(space);
  const std::vector<Sample> moments = with_rss_between(samples, curves.rss);
  const Case all{facts,
                 ledger,
                 out.attribution,
                 samples,
                 out.coverage,
                 largest_family(ledger),
                 go ? &*go : nullptr,
                 out.go ? &*out.go : nullptr,
                 out.rss.start_bytes,
                 allocators,
                 moments,
                 out.cgroup_memory ? &*out.cgroup_memory : nullptr,
                 out.allocations ? &*out.allocations : nullptr,
                 curves.peaks};
  out.findings = findings(all);
  out.verdict = verdict_of(all, out.findings, curves.anonymous);
  if (space.ended()) out.verdict.seconds_more.reset();  // nothing more is to be seen
  out.timeline = curve_of(samples, space.rss_curve(), owners.table());
  if (go) {
    add_go_points(*go, out.timeline);
    add_go_events(*go, out);
  }
  out.ledger = std::move(ledger.lines);
  out.scan_time = scan_->time;
  if (!scan_->complete) out.note = "the only scan was cut short: the ledger is a part of the process";
}

ProcessExplanation SpaceStory::explain(const Timeline& timeline, const AddressSpace& space,
                                       std::optional<uint64_t> heap_profile_bytes) const {
  ProcessExplanation out;
  const events::SpaceStart& identity = space.identity();
  out.pid = identity.tgid;
  out.comm = identity.comm;
  out.exe = identity.exe;
  out.cgroup = identity.cgroup;
  out.container = container_of(identity.cgroup);
  out.pod = pod_of(identity.cgroup);
  if (!identity.cgroup.empty()) out.cgroup_memory = limiting_cgroup(timeline, identity.cgroup);
  if (identity.started_ns != 0) out.started_boottime_ns = identity.started_ns;
  if (const events::BinaryInfo* exe = exe_of(timeline, space)) {
    out.build_id = exe->build_id;
    if (const events::BinaryInfo* file = scan_ ? go_of(timeline, exe, *scan_) : exe->go ? exe : nullptr) {
      GoSummary& go = out.go.emplace();
      if (file != exe) go.library = file->path;
      go.version = file->go->version;
      go.race = file->go->race;
      go.cgo = file->go->cgo;
      go.stripped = file->stripped;
    }
    if (!out.go && !exe->unreadable) out.heap_profile_source = ProfileSource::kNotGo;
  }
  if (heap_profile_bytes) {  // of whatever made it
    out.heap_profile_source = ProfileSource::kFile;
    out.heap_profile_inuse_bytes = heap_profile_bytes;
  }
  if (const auto& counters = space.counters()) {
    add_beside(*counters, out);
    if (counters->threads > 0) out.threads = counters->threads;
  }
  out.events = log_.events();
  out.scans = history_.scans();
  if (scan_) {
    add_ledger(timeline, space, heap_profile_bytes, out);
  } else {
    out.note = "no scan was completed: there is no ledger";
    out.verdict.reason = "no scan was completed";
    out.timeline = curve_of({}, space.rss_curve(), owners_.table());
  }
  return out;
}

}  // namespace memwhy::explain
