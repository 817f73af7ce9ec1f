// SPDX-License-Identifier: Apache-2.0
#include "explain/go/groups.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace memwhy::explain {
namespace {

constexpr size_t kGroupsShown = 20;

auto key_of(const events::GoGroup& group) {
  return std::tie(group.frames, group.wait_reason, group.created_at);
}

const events::GoGroup* find(const events::GoGoroutines& all, const events::GoGroup& wanted) {
  const auto at = std::find_if(all.groups.begin(), all.groups.end(),
                               [&](const events::GoGroup& group) { return key_of(group) == key_of(wanted); });
  return at == all.groups.end() ? nullptr : &*at;
}

GroupStory story_of(const GoFacts& go, const timeline::GoroutinePoint& last, const events::GoGroup& group) {
  GroupStory out;
  out.now = &group;
  out.read_at = last.time;
  out.complete = last.all->complete;
  out.frames = go.frames(group.frames, true);
  out.site = program_frame(out.frames);
  out.of_runtime = !group.frames.empty() && !out.site.known();
  if (group.created_at != 0) {
    // Inlined calls come innermost first; the go statement is in the innermost.
    const Frame creator = go.frames({group.created_at}, false).front();
    if (!creator.function.starts_with("runtime.newproc")) out.created_at = creator;
    out.of_runtime |= out.created_at.kind == FrameKind::kRuntime;
  }
  for (const timeline::GoroutinePoint& point : go.goroutines()) {
    const events::GoGroup* then = find(*point.all, group);
    out.counts.push_back({point.time, then == nullptr ? 0 : then->count});
    out.weights.push_back({point.time, then == nullptr ? 0 : then->kept_bytes + then->stack_bytes});
  }
  return out;
}

// The only site that is in the same function: what is allocated on one line is often first written on the next.
using Sites = std::map<Frame, uint64_t, PlacesBefore>;
Sites::const_iterator of_function(const Sites& sites, const Frame& frame) {
  auto found = sites.end();
  for (auto at = sites.begin(); at != sites.end() && !frame.function.empty(); ++at) {
    if (at->first.function != frame.function) continue;
    if (found != sites.end()) return sites.end();
    found = at;
  }
  return found;
}

// Where an object of this size was allocated, by the probe of large allocations: the only place that allocates such
// objects, or the one that also first touched this one. Unknown: neither, or more objects than it saw (`left`, by
// size).
Frame probed_site(const GoFacts& go, uint64_t object_bytes, const Frame& touched,
                  std::map<uint64_t, uint64_t>& left) {
  Sites calls;
  uint64_t all = 0;
  for (const timeline::GoCallSite& call : go.call_sites()) {
    if (call.function != events::GoFunction::kLargeAllocation || call.object_bytes != object_bytes) continue;
    calls[program_frame(go.frames_of(call.stack))] += call.calls;
    all += call.calls;
  }
  uint64_t& unused = left.try_emplace(object_bytes, all).first->second;
  if (unused == 0) return {};
  const auto site = calls.size() == 1 ? calls.cbegin() : of_function(calls, touched);
  if (site == calls.end()) return {};
  --unused;
  return site->first;
}

}  // namespace

bool waited(const events::GoGroup& group, TimeNs read_at, TimeNs at_least) {
  const TimeNs since = group.oldest_wait_ns;  // a file may have it after the reading
  return since != 0 && since <= read_at && read_at - since >= at_least;
}

std::vector<GroupStory> group_stories(const GoFacts& go) {
  std::vector<GroupStory> out;
  if (go.goroutines().empty()) return out;
  const timeline::GoroutinePoint& last = go.goroutines().back();
  for (const events::GoGroup& group : last.all->groups) out.push_back(story_of(go, last, group));
  return out;
}

Origin origin_of(const GoFacts& go, const events::GoGroup& group) {
  Origin out;
  std::map<bool, Sites> bytes;                                     // true: where they were allocated
  std::vector<std::pair<uint64_t, std::vector<Frame>>> unsampled;  // size, first touched by
  for (const events::GoKeptObject& object : group.large) {
    out.object_bytes = out.objects == 0 || out.object_bytes == object.bytes ? object.bytes : 0;
    ++out.objects;
    if (object.allocated_at.empty()) {
      unsampled.emplace_back(object.bytes, go.touched_by(object.address, object.bytes));
      continue;
    }
    ++out.sampled;
    bytes[true][program_frame(go.frames(object.allocated_at, false))] += object.bytes;
  }
  // What became resident while memwhy watched was allocated then: the probe's calls are these before any other's.
  std::stable_partition(unsampled.begin(), unsampled.end(),
                        [](const auto& each) { return !each.second.empty(); });
  std::map<uint64_t, uint64_t> left;
  for (const auto& [size, frames] : unsampled) {
    if (const Frame site = probed_site(go, size, program_frame(frames), left); site.known()) {
      ++out.probed;
      bytes[true][site] += size;
    } else if (!frames.empty()) {
      ++out.touched;
      const bool allocator = std::any_of(frames.begin(), frames.end(), [](const Frame& frame) {
        return frame.kind == FrameKind::kAllocator;
      });
      bytes[allocator][program_frame(frames)] += size;
    }
  }
  uint64_t most = 0;
  for (const auto& [allocated, sites] : bytes) {
    for (const auto& [site, sum] : sites) {
      if (!site.known() || sum <= most) continue;
      most = sum;
      out.site = site;
      out.allocation = allocated;
    }
  }
  return out;
}

std::optional<GoroutineSummary> summary_of(const GoFacts& go, StackTable& table) {
  if (go.goroutines().empty()) return std::nullopt;
  const timeline::GoroutinePoint& last = go.goroutines().back();
  GoroutineSummary out{last.time, last.all->count, {}};
  for (const GroupStory& story : group_stories(go)) {
    if (out.groups.size() == kGroupsShown) break;
    GoroutineGroup& group = out.groups.emplace_back();
    group.count = story.now->count;
    group.wait_reason = story.now->wait_reason;
    if (story.site.known()) group.site = table.add_frame(story.site);
    if (story.created_at.known()) group.created_at = table.add_frame(story.created_at);
    if (story.now->oldest_wait_ns != 0) group.waiting_since = story.now->oldest_wait_ns;
    if (story.complete) group.kept_bytes = story.now->kept_bytes;
    group.stack_bytes = story.now->stack_bytes;
    group.stack = table.add(story.frames);
  }
  return out;
}

std::optional<HeldSummary> held_summary_of(const GoFacts& go, StackTable& table) {
  if (go.goroutines().empty() || !go.goroutines().back().all->held) return std::nullopt;
  const events::GoHeld& held = *go.goroutines().back().all->held;
  HeldSummary out{held.complete, held.bytes, held.objects, {}};
  for (const events::GoHolder& holder : held.holders) {
    HolderSummary& entry = out.holders.emplace_back();
    entry.kind = holder.kind;
    entry.name = holder.name;
    entry.used_by = holder.used_by;
    entry.address = holder.address;
    entry.count = holder.count;
    if (!holder.frames.empty()) entry.stack = table.add(go.frames(holder.frames, true));
    if (holder.created_at != 0)
      entry.created_at = table.add_frame(go.frames({holder.created_at}, false).front());
    entry.bytes = holder.bytes;
    entry.objects = holder.objects;
    entry.resident_bytes = holder.resident_bytes;
    entry.also_bytes = holder.also_bytes;
  }
  return out;
}

}  // namespace memwhy::explain
