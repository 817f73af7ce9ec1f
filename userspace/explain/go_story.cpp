// SPDX-License-Identifier: Apache-2.0
#include "explain/go_story.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "explain/go_groups.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kSameMoment = 500'000'000;

TimeNs distance(TimeNs a, TimeNs b) { return a < b ? b - a : a - b; }

}  // namespace

void describe_go(const GoFacts& go, ProcessExplanation& out) {
  out.heap_profile_source = go.profile_source();
  out.heap_profile_inuse_bytes = go.profile_bytes();
  out.goroutines = summary_of(go);
  if (!out.go) return;
  out.go->layout = go.layout_name();
  out.go->layout_problem = go.problem();
  // Counters of a layout that failed its self-test are not believed.
  if (out.go->layout == "table" && !go.curve().empty()) out.go->totals = go.curve().back().counters;
}

void add_allocation_sites(const GoFacts& go, Ledger& ledger) {
  const auto line = std::find_if(ledger.lines.begin(), ledger.lines.end(), [](const LedgerLine& each) {
    return each.id == owner_name(Owner::kGoHeapLive).id;
  });
  if (line == ledger.lines.end() || !go.profile_bytes() || *go.profile_bytes() == 0) return;
  std::map<std::vector<std::string>, double> sites;
  for (const events::GoBucket& bucket : go.profile()->buckets) {
    if (bucket.published_objects == 0) continue;
    std::vector<std::string> frames = go.user_frames(bucket.stack, false);
    if (frames.empty()) frames = go.frames(bucket.stack, false);
    sites[std::move(frames)] += GoFacts::scaled_bytes(bucket, bucket.published_objects, go.profile()->rate);
  }
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

void add_go_points(const GoFacts& go, std::vector<TimelinePoint>& timeline) {
  const std::vector<timeline::GoPoint>& curve = go.curve();
  if (go.layout_name() != "table") return;
  size_t k = 0;
  for (TimelinePoint& point : timeline) {
    while (k + 1 < curve.size() &&
           distance(curve[k + 1].time, point.time) <= distance(curve[k].time, point.time))
      ++k;
    if (k >= curve.size() || distance(curve[k].time, point.time) > kSameMoment) continue;
    const events::GoCounters& c = curve[k].counters;
    point.go = GoTimelinePoint{c.live_bytes, c.goal_bytes, c.allocated_bytes, c.freed_bytes, c.gc_cycles};
  }
}

}  // namespace memwhy::explain
