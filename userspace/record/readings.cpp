// SPDX-License-Identifier: Apache-2.0
#include "record/readings.h"

#include <algorithm>
#include <utility>

namespace memwhy::record {
namespace {

constexpr uint64_t kLeastMove = 64 * kPageBytes;  // 5 % of nearly nothing is nothing
constexpr TimeNs kLongestRest = 10'000'000'000;

uint64_t distance(uint64_t then, uint64_t now) { return then > now ? then - now : now - then; }

// By 5 %; where scans are farther apart than usual, by so many times that.
bool moved(uint64_t then, uint64_t now, uint64_t pace) {
  return distance(then, now) * 20 >= then * pace && distance(then, now) >= kLeastMove;
}

}  // namespace

bool Readings::rests(Target& target) {
  if (!world_.options.rests) return false;
  const TimeNs now = world_.clock.now();
  const std::optional<uint64_t> resident = target.source->resident_pages();
  const bool same = resident && resident == std::exchange(target.resident_pages, resident);
  if (!same || now >= target.counted_at + kLongestRest) {
    target.counted_at = now;
    return false;
  }
  cgroups_.read(target.told.cgroup, kCgroupOfRest);
  return true;
}

bool Readings::put_off_scan(Target& target) const {
  Schedule& schedule = target.schedule;
  const TimeNs now = world_.clock.now();
  if (!world_.options.rests || schedule.rescan || now >= schedule.next_restate ||
      distance(target.rss_at_scan, target.rss_bytes) >= kLeastMove)
    return false;
  schedule.next_scan = std::min(now + world_.options.scan_period, schedule.next_restate);
  return true;
}

bool Readings::counters(Target& target) {
  const CpuMeter meter(world_.clock, target.cost.counter_cpu_ns);
  ++target.cost.counter_reads;
  auto counters = target.source->counters();
  if (!counters) return false;
  counters->space = target.space;
  target.rss_bytes = counters->rss_bytes();
  if (target.rss_at_scan != 0 && moved(target.rss_at_scan, target.rss_bytes, world_.pace()))
    target.schedule.rescan = true;
  world_.tell(*std::move(counters));
  cgroups_.read(target, kCgroupOfTick);
  cgroups_.read(world_.options.cgroup, kCgroupOfTick);
  return true;
}

Result<events::PageScan> Readings::pass(Target& target) {
  const CpuMeter meter(world_.clock, target.cost.scan_cpu_ns);
  target.schedule.scan_begins(world_.clock.now(), world_.pace() * world_.options.scan_period);
  if (!read_vmas(world_, target)) return Error(ErrorCode::kTargetGone, "no address space");
  auto pass = target.source->scan(target.vmas);
  if (!pass) return pass;
  pass->space = target.space;
  pass->scan = ++scans_;
  for (auto* counters : {&pass->before, &pass->after}) {
    if (*counters) (*counters)->space = target.space;
  }
  if (pass->after) target.rss_bytes = pass->after->rss_bytes();
  target.rss_at_scan = target.rss_bytes;
  if (auto threads = world_.kernel.threads(target.space)) {
    threads->space = target.space;
    world_.tell(*std::move(threads));
  }
  return pass;
}

bool Readings::scan(Target& target, bool restate, Look look) {
  const Lumps::Scope lump = world_.lump();
  const uint64_t cpu_before = target.cost.scan_cpu_ns;
  auto scanned = pass(target);
  if (!scanned) {
    target.schedule.look_at(world_.clock.now());
    return false;
  }
  table(target, restate);
  // Without its runtimes most of it would be unclassified in the last ledger: the one before remains.
  if (!runtimes_.read(target, *scanned, look)) {
    target.schedule.look_at(world_.clock.now());
    return false;
  }
  const TimeNs age = look == Look::kUsual ? kCgroupOfScan : kCgroupOfLastScan;
  cgroups_.read(target, age);
  cgroups_.read(world_.options.cgroup, age);
  world_.tell(*std::move(scanned));
  runtimes_.probe(target);
  ++target.cost.scans;
  target.schedule.scan_ended(world_.clock.now(), world_.pace() * (target.cost.scan_cpu_ns - cpu_before));
  runtimes_.stretch(target);
  return true;
}

void Readings::table(Target& target, bool restate) {
  const CpuMeter meter(world_.clock, target.cost.table_cpu_ns);
  ++target.cost.table_reads;
  const TimeNs begun = world_.clock.now();
  std::vector<events::Stack> stacks;
  world_.kernel.read_table(target.space, restate, [&](events::Event event) {
    event.time = std::max(event.time, begun);  // not before the pass that it explains
    if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks.push_back(*stack);
    world_.emit(std::move(event));
  });
  names_.resolve(target, stacks);
}

// What was mapped since the scan counts as mapped.
void Readings::reclaim(Target& target) {
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
  world_.kernel.reclaim(target.space, mapped);
}

}  // namespace memwhy::record
