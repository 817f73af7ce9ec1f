// SPDX-License-Identifier: Apache-2.0
#include "explain/go/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/whole.h"
#include "explain/go/allocation.h"
#include "explain/go/groups.h"
#include "explain/go/steps.h"

namespace memwhy::explain {
namespace {

constexpr size_t kMostCalls = 20;  // sites shown of each function
constexpr size_t kMostAllocated =
    256;  // sites of the heap profile: the heaviest; far more than a reader needs

std::vector<GoCallSummary> heaviest_calls(const GoFacts& go, events::GoFunction function, StackTable& table) {
  std::vector<GoCallSummary> out;
  for (const timeline::GoCallSite& site : go.call_sites()) {
    if (site.function != function || out.size() == kMostCalls) continue;
    const std::vector<Frame> frames = go.frames_of(site.stack);
    out.push_back({function, site.calls, site.bytes, site.object_bytes, site.first, site.last,
                   frames.empty() ? kNoIndex : table.add(frames)});
  }
  return out;
}

std::vector<HeapHolder> holders_of(const GoFacts& go, StackTable& table) {
  std::vector<HeapHolder> out;
  if (!go.layout_trusted() || go.goroutines().empty()) return out;
  const std::optional<events::GoHeld>& held = go.goroutines().back().all->held;
  if (!held) return out;
  using Kind = events::GoHolder::Kind;
  for (const events::GoHolder& holder : held->holders) {
    HeapHolder& one = out.emplace_back();
    one.resident_bytes = holder.resident_bytes;
    one.objects = holder.objects;
    if (holder.kind == Kind::kVariable) {
      one.name = holder.name.empty() ? fmt::format("variable at {:#x}", holder.address) : holder.name;
      continue;
    }
    one.name = holder.kind == Kind::kGoroutines ? "goroutines" : "finalizers";
    const Frame site = holder.frames.empty() ? Frame{} : program_frame(go.frames(holder.frames, true));
    if (site.known()) one.site = table.add_frame(site);
  }
  return out;
}

}  // namespace

void describe_go(const GoFacts& go, StackTable& table, ProcessExplanation& out) {
  out.heap_profile_source = go.profile_source();
  out.heap_profile_inuse_bytes = go.profile_bytes();
  if (out.heap_profile_source == ProfileSource::kBuckets) {
    out.heap_profile_rate = go.profile_rate();
    out.heap_profile_rate_assumed = go.profile()->rate_assumed;
  }
  out.goroutines = summary_of(go, table);
  out.holders = holders_of(go, table);
  for (const auto function :
       {events::GoFunction::kLargeAllocation, events::GoFunction::kHeapGrow, events::GoFunction::kScavenge}) {
    const std::vector<GoCallSummary> calls = heaviest_calls(go, function, table);
    out.go_calls.insert(out.go_calls.end(), calls.begin(), calls.end());
  }
  if (go.layout_trusted())
    out.coverage.go_heap = {go.heap()->quiet, go.heap()->spans, go.heap()->spans_in_motion};
  if (!out.go) return;
  out.go->layout = go.layout();
  out.go->layout_problem = go.problem();
  out.go->sites = allocation_sites(go, table);
  if (go.layout_trusted()) out.go->held = held_summary_of(go, table);
  // Counters of a layout that failed its self-test are not believed.
  if (go.layout_trusted() && !go.curve().empty()) {
    out.go->totals = go.curve().back().counters;
    const timeline::GoPauses& pauses = go.pauses();
    const timeline::GoCycles& cycles = go.cycles();
    out.go->pauses = {pauses.collections,      pauses.missed,       pauses.total_ns,
                      pauses.longest.pause_ns, cycles.marks_seen(), cycles.mark_total_ns(),
                      cycles.mark_longest_ns()};
    out.go->allocation = allocation_rates(go.curve());
    out.go->steps = heap_steps(go, table);
  }
}

std::vector<AllocatedAt> allocated_at(const GoFacts& go, StackTable& table) {
  if (go.profile() == nullptr) return {};
  // Without a rate the samples speak for themselves alone.
  const uint64_t rate = go.profile_rate().value_or(0);
  std::map<std::vector<Frame>, double, PlacesBefore> sites;
  for (const events::GoBucket& bucket : go.profile()->buckets) {
    if (bucket.published_objects == 0) continue;
    sites[without_runtime(go.frames(bucket.stack, false))] +=
        GoFacts::scaled_bytes(bucket, bucket.published_objects, rate);
  }
  std::vector<std::pair<uint64_t, const std::vector<Frame>*>> heaviest;
  double all = 0;
  uint64_t rounded = 0;
  for (const auto& [frames, bytes] : sites) {
    heaviest.emplace_back(nearest(bytes), &frames);
    all += bytes;
    rounded += heaviest.back().first;
  }
  std::stable_sort(heaviest.begin(), heaviest.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  // Together they are the heap profile to the byte: what rounding made of them is the largest one's.
  const uint64_t told = rate != 0 ? go.estimated_bytes() : nearest(all);
  if (!heaviest.empty()) heaviest.front().first += told - rounded;
  if (heaviest.size() > kMostAllocated) heaviest.resize(kMostAllocated);
  std::vector<AllocatedAt> out;
  for (const auto& [bytes, frames] : heaviest) out.push_back({bytes, table.add(*frames)});
  return out;
}

}  // namespace memwhy::explain
