// SPDX-License-Identifier: Apache-2.0
// What the sampler reads of one target, and the events it makes of that.
#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "record/sampler.h"
#include "record/target.h"

namespace memwhy::record {
namespace {

// Adds the CPU time of a scope to a counter.
class CpuMeter {
 public:
  CpuMeter(Clock& clock, uint64_t& sum) : clock_(clock), sum_(sum), begun_(clock.thread_cpu_ns()) {}
  ~CpuMeter() { sum_ += clock_.thread_cpu_ns() - begun_; }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

 private:
  Clock& clock_;
  uint64_t& sum_;
  uint64_t begun_;
};

bool moved(uint64_t then, uint64_t now) {
  constexpr uint64_t kLeast = 64 * kPageBytes;  // 5 % of nearly nothing is nothing
  const uint64_t difference = then > now ? then - now : now - then;
  return difference * 20 >= then && difference >= kLeast;
}

bool maps_all(const std::vector<events::Vma>& vmas, const std::vector<uint64_t>& frames) {
  return std::all_of(frames.begin(), frames.end(), [&](uint64_t address) {
    const auto above = std::upper_bound(vmas.begin(), vmas.end(), address,
                                        [](uint64_t a, const events::Vma& vma) { return a < vma.range.end; });
    return above != vmas.end() && above->range.contains(address);
  });
}

}  // namespace

bool Sampler::read_counters(Target& target) {
  const CpuMeter meter(clock_, target.cost.counter_cpu_ns);
  ++target.cost.counter_reads;
  auto counters = target.source->counters();
  if (!counters) return false;
  counters->space = target.space;
  target.rss_bytes = counters->rss_bytes();
  if (target.rss_at_scan != 0 && moved(target.rss_at_scan, target.rss_bytes)) target.rescan = true;
  emit(clock_.now(), *std::move(counters));
  return true;
}

bool Sampler::read_vmas(Target& target) {
  auto vmas = target.source->vmas();
  if (!vmas) return false;
  target.vmas = *std::move(vmas);
  target.vmas_at = clock_.now();
  emit(target.vmas_at, events::VmaList{target.space, target.vmas});
  return true;
}

// The VMA list, the pass, the threads, the table. The pass is told last, when all that explains its pages was
// told. false: the space is gone, and the table was not read.
bool Sampler::scan(Target& target, bool restate) {
  const TimeNs begun = clock_.now();
  const uint64_t cpu_before = target.cost.scan_cpu_ns;
  events::PageScan scanned;
  {
    const CpuMeter meter(clock_, target.cost.scan_cpu_ns);
    target.next_scan = begun + options_.scan_period;
    target.rescan = false;
    auto pass = read_vmas(target)
                    ? target.source->scan(target.vmas)
                    : Result<events::PageScan>(Error(ErrorCode::kTargetGone, "no address space"));
    if (!pass) {
      target.check_at = std::min(target.check_at, clock_.now());
      return false;
    }
    pass->space = target.space;
    pass->scan = ++scans_;
    for (auto* counters : {&pass->before, &pass->after}) {
      if (*counters) (*counters)->space = target.space;
    }
    if (pass->after) target.rss_bytes = pass->after->rss_bytes();
    target.rss_at_scan = target.rss_bytes;
    if (auto threads = kernel_.threads(target.space)) {
      threads->space = target.space;
      emit(clock_.now(), *std::move(threads));
    }
    scanned = *std::move(pass);
  }
  read_table(target, restate);
  if (!read_go(target,
               scanned)) {  // its heap would be unclassified in the last ledger: the one before stands
    target.check_at = std::min(target.check_at, clock_.now());
    return false;
  }
  emit(clock_.now(), std::move(scanned));
  probe_go(target);
  ++target.cost.scans;
  target.scan_allowed_at = clock_.now() + kScanBudget * (target.cost.scan_cpu_ns - cpu_before);
  stretch(target);
  return true;
}

// A scan without the Go tables of its moment would call the heap unclassified: so both come later.
void Sampler::stretch(Target& target) {
  const TimeNs paid_at = target.go_paid_at();
  target.scan_allowed_at = std::max(target.scan_allowed_at, paid_at);
  if (paid_at <= target.next_scan) return;
  target.next_scan = paid_at;
  if (std::exchange(target.go_stretched, true)) return;
  notice(fmt::format(
      "The pages of pid {} are scanned less often than every {} s: reading its Go heap so often would "
      "take more than 1 % of a CPU.",
      target.tgid, static_cast<double>(options_.scan_period) / 1e9));
}

// When a Go program is met: its own tables first, so that no probe stands in the way of being read.
void Sampler::probe_go(Target& target) {
  GoSource* go = target.source ? target.source->go(target.vmas) : nullptr;
  if (go == nullptr) return;
  kernel_.is_go(target.space);
  std::optional<events::GoProbePlan> plan = go->probe_plan();
  if (!plan) return;
  if (!options_.probe_go) {
    plan->sites.clear();
    plan->not_probed = {
        "The Go runtime is not probed (--no-uprobes): who allocates large objects and who makes the heap "
        "grow is not "
        "seen."};
  }
  kernel_.probe_go(target.space, std::move(*plan));
  hooks();
}

// What the Go runtime holds the pages of this pass for; profile and goroutines when they are due.
// false: the target went away meanwhile.
bool Sampler::read_go(Target& target, const events::PageScan& pass) {
  GoSource* go = target.source->go(target.vmas);
  if (go == nullptr) return true;
  const CpuMeter meter(clock_, target.cost.go_cpu_ns);
  go->stop_when(options_.out_of_time);
  const bool there = read_go(target, *go, pass);
  for (std::string& sentence : go->take_notices()) notice(fmt::format("pid {}: {}", target.tgid, sentence));
  return there;
}

bool Sampler::read_go(Target& target, GoSource& source, const events::PageScan& pass) {
  target.go_since = std::min(target.go_since, clock_.now());
  ++target.cost.go_reads;
  const bool all_due = clock_.now() >= target.go_allowed_at;
  uint64_t paid_ns = 0;
  // The profile before the heap, since its own pages are met there. But not where time may run out: the last ledger is
  // nothing without the heap.
  if (all_due && !finishing_) {
    const CpuMeter of_all(clock_, paid_ns);
    read_profile(target, source);
  }
  events::GoHeap heap = source.heap(pass);
  if (!trusted(heap.layout) && !(target.source->alive() && target.source->vmas())) return false;
  heap.space = target.space;
  heap.scan = pass.scan;
  emit(clock_.now(), std::move(heap));
  if (!all_due) return true;
  {
    const CpuMeter of_all(clock_, paid_ns);
    if (finishing_) read_profile(target, source);
    read_goroutines(target, source);
  }
  target.go_allowed_at = clock_.now() + std::min<TimeNs>(kGoBudget * paid_ns, kGoPeriod);
  return true;
}

// The first and the last reading are made whatever they take, so a short recording may have taken more.
void Sampler::tell_go_share(const Target& target) {
  if (target.go_since == kNever || target.cost.go_cpu_ns <= kGoUntoldNs) return;
  const TimeNs elapsed = std::max<TimeNs>(clock_.now() - target.go_since, 1);
  if (target.cost.go_cpu_ns <= elapsed / kGoShare) return;
  const double cpu = static_cast<double>(target.cost.go_cpu_ns) / 1e9,
               all = static_cast<double>(elapsed) / 1e9;
  notice(
      fmt::format("Reading the Go runtime of pid {} took {:.1f} s of CPU in {:.1f} s ({:.0f} % of a CPU, and "
                  "not at most 1 "
                  "%): the first reading and the last are made whatever they take.",
                  target.tgid, cpu, all, 100 * cpu / all));
}

void Sampler::read_profile(Target& target, GoSource& source) {
  events::GoProfile profile = source.profile();
  profile.space = target.space;
  for (const events::GoBucket& bucket : profile.buckets) name_go(target, bucket.stack, false);
  emit(clock_.now(), std::move(profile));
}

void Sampler::read_goroutines(Target& target, GoSource& source) {
  std::optional<events::GoGoroutines> all = source.goroutines();
  if (!all) return;
  all->space = target.space;
  for (const events::GoGroup& group : all->groups) {
    name_go(target, group.frames, true);
    name_go(target, {group.created_at}, false);
    for (const events::GoKeptObject& object : group.large) name_go(target, object.allocated_at, false);
  }
  emit(clock_.now(), *std::move(all));
}

void Sampler::read_go_statistics(Target& target) {
  GoSource* go = target.source && !target.vmas.empty() ? target.source->go(target.vmas) : nullptr;
  if (go == nullptr) return;
  const CpuMeter meter(clock_, target.cost.go_cpu_ns);
  if (std::optional<events::GoStatistics> sample = go->statistics()) {
    sample->space = target.space;
    emit(clock_.now(), *sample);
  }
}

// Names of code addresses that are in no stack of the kernel side.
void Sampler::name_go(Target& target, const std::vector<uint64_t>& addresses, bool first_is_exact) {
  events::Stack stack;
  stack.space = target.space;
  if (!first_is_exact) stack.frames.push_back(0);
  stack.frames.insert(stack.frames.end(), addresses.begin(), addresses.end());
  symbols_.resolve(target.tgid, target.space, target.vmas, std::span(&stack, 1),
                   [this](events::Event event) { emit_(std::move(event)); });
}

void Sampler::read_table(Target& target, bool restate) {
  const CpuMeter meter(clock_, target.cost.table_cpu_ns);
  ++target.cost.table_reads;
  const TimeNs begun = clock_.now();
  std::vector<events::Stack> stacks;
  kernel_.read_table(target.space, restate, [&](events::Event event) {
    event.time = std::max(event.time, begun);  // not before the pass that it explains
    if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks.push_back(*stack);
    emit_(std::move(event));
  });
  resolve(target, stacks);
}

// Stacks that intake had no room for.
void Sampler::resend_stacks() {
  std::vector<events::Stack> stacks;
  kernel_.resend_stacks([&](events::Event event) {
    stacks.push_back(std::get<events::Stack>(event.payload));
    emit_(std::move(event));
  });
  for (const events::Stack& stack : stacks) {
    Target* target = find(stack.space);
    if (target != nullptr) resolve(*target, std::span(&stack, 1));
  }
}

// Chunks of the kernel's table that are outside every mapping. What was mapped since the scan counts as
// mapped.
void Sampler::reclaim(Target& target) {
  const auto now = target.source ? target.source->vmas() : Result<std::vector<events::Vma>>(target.vmas);
  if (!now) return;
  std::vector<AddressRange> mapped;
  for (const auto* list : {&std::as_const(target.vmas), &*now}) {
    for (const events::Vma& vma : *list) mapped.push_back(vma.range);
  }
  std::sort(mapped.begin(), mapped.end());
  size_t kept = 0;
  for (const AddressRange& range : mapped) {
    if (kept > 0 && range.start <= mapped[kept - 1].end) {
      mapped[kept - 1].end = std::max(mapped[kept - 1].end, range.end);
    } else {
      mapped[kept++] = range;
    }
  }
  mapped.resize(kept);
  kernel_.reclaim(target.space, mapped);
}

// Many at a time: each question about a file is one message to who reads it.
void Sampler::resolve(Target& target, std::span<const events::Stack> stacks) {
  while (!stacks.empty() && !target.vmas.empty() && target.names.allows(clock_.now())) {
    const std::span<const events::Stack> some = stacks.first(std::min(stacks.size(), kStacksAtOnce));
    // A library that was loaded since the list was read.
    const bool old = clock_.now() >= target.vmas_at + kTickPeriod;
    const auto unmapped = [&](const events::Stack& stack) { return !maps_all(target.vmas, stack.frames); };
    if (old && target.source && !target.pending && std::any_of(some.begin(), some.end(), unmapped)) {
      static_cast<void>(read_vmas(target));
      target.vmas_at = clock_.now();
    }
    name(target, target, some);
    stacks = stacks.subspan(some.size());
  }
  for (const events::Stack& stack : stacks) wait_for_names(target, stack);
}

void Sampler::name(Target& target, const Target& from, std::span<const events::Stack> stacks) {
  uint64_t cpu_ns = 0;
  {
    const CpuMeter meter(clock_, cpu_ns);
    symbols_.resolve(from.tgid, from.space, from.vmas, stacks,
                     [this](events::Event event) { emit_(std::move(event)); });
  }
  target.names.spend(clock_.now(), cpu_ns);
}

void Sampler::wait_for_names(Target& target, const events::Stack& stack) {
  if (target.waiting.size() < kWaitingStacks) return target.waiting.push_back(stack);
  give_up_names(target, 1);
}

void Sampler::give_up_names(Target& target, size_t stacks) {
  if (stacks == 0) return;
  emit(clock_.now(), events::Loss{target.space, "symbols", stacks});
  if (target.vmas.empty() || std::exchange(target.names_cut, true)) return;
  notice(fmt::format(
      "Not all functions of pid {} are named: to name its many stacks would take more than {} % of a CPU.",
      target.tgid, 100 / kNamesShare));
}

void Sampler::resolve_waiting(Target& target) {
  if (target.waiting.empty()) return;
  // A child that was gone before it was opened had its parent's mappings.
  const Target* from = target.vmas.empty() ? find(target.start.parent) : &target;
  if (target.vmas.empty() && (target.source || target.open_at != kNever)) return;
  if (from == nullptr || from->vmas.empty()) return;
  size_t named = 0;
  while (named < target.waiting.size() && target.names.allows(clock_.now()))
    name(target, *from, std::span(&target.waiting[named++], 1));
  target.waiting.erase(target.waiting.begin(), target.waiting.begin() + static_cast<std::ptrdiff_t>(named));
}

}  // namespace memwhy::record
