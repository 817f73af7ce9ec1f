// SPDX-License-Identifier: Apache-2.0
#include "explain/go_story.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "explain/go_allocation.h"
#include "explain/go_groups.h"
#include "explain/go_steps.h"

namespace memwhy::explain {
namespace {

constexpr size_t kMostCalls = 20;  // sites shown of each function

}  // namespace

void describe_go(const GoFacts& go, ProcessExplanation& out) {
  out.heap_profile_source = go.profile_source();
  out.heap_profile_inuse_bytes = go.profile_bytes();
  if (out.heap_profile_source == "buckets") {
    out.heap_profile_rate = go.profile_rate();
    out.heap_profile_rate_assumed = go.profile()->rate_assumed;
  }
  out.goroutines = summary_of(go);
  for (const auto function :
       {events::GoFunction::kLargeAllocation, events::GoFunction::kHeapGrow, events::GoFunction::kScavenge}) {
    std::vector<GoCallSummary> calls = go.calls(function);
    if (calls.size() > kMostCalls) calls.resize(kMostCalls);
    out.go_calls.insert(out.go_calls.end(), calls.begin(), calls.end());
  }
  if (go.layout_trusted())
    out.coverage.go_heap = {go.heap()->quiet, go.heap()->spans, go.heap()->spans_in_motion};
  if (!out.go) return;
  out.go->layout = go.layout_name();
  out.go->layout_problem = go.problem();
  out.go->sites = allocation_sites(go);
  // Counters of a layout that failed its self-test are not believed.
  if (go.layout_trusted() && !go.curve().empty()) {
    out.go->totals = go.curve().back().counters;
    const timeline::GoPauses& pauses = go.pauses();
    const timeline::GoCycles& cycles = go.cycles();
    out.go->pauses = {pauses.collections,      pauses.missed,       pauses.total_ns,
                      pauses.longest.pause_ns, cycles.marks_seen(), cycles.mark_total_ns(),
                      cycles.mark_longest_ns()};
    out.go->allocation = allocation_rates(go.curve());
    out.go->steps = heap_steps(go);
  }
}

void add_allocation_sites(const GoFacts& go, Ledger& ledger) {
  const auto line = std::find_if(ledger.lines.begin(), ledger.lines.end(), [](const LedgerLine& each) {
    return each.id == owner_name(Owner::kGoHeapLive).id;
  });
  if (line == ledger.lines.end() || go.profile() == nullptr) return;
  // Without a rate the samples speak for themselves alone.
  const uint64_t rate = go.profile_rate().value_or(0);
  std::map<std::vector<std::string>, double> sites;
  for (const events::GoBucket& bucket : go.profile()->buckets) {
    if (bucket.published_objects == 0) continue;
    std::vector<std::string> frames = go.user_frames(bucket.stack, false);
    if (frames.empty()) frames = go.frames(bucket.stack, false);
    sites[std::move(frames)] += GoFacts::scaled_bytes(bucket, bucket.published_objects, rate);
  }
  if (sites.empty()) return;
  std::vector<TopEntry> top;
  for (const auto& [frames, bytes] : sites) {
    TopEntry& entry = top.emplace_back();
    entry.bytes = static_cast<uint64_t>(std::llround(bytes));
    entry.what = "stack";
    entry.how = "allocated (sampled)";
    entry.frames = frames;
  }
  std::stable_sort(top.begin(), top.end(),
                   [](const TopEntry& a, const TopEntry& b) { return a.bytes > b.bytes; });
  if (top.size() > kTopEntries) top.resize(kTopEntries);
  // The profile estimates allocated bytes, the line counts resident ones: an entry never says more than the line.
  limit_to(line->bytes, top);
  line->top = std::move(top);
}

}  // namespace memwhy::explain
