// SPDX-License-Identifier: Apache-2.0
#include "explain/go_groups.h"

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
  out.of_runtime = !group.frames.empty() && out.site.empty();
  if (group.created_at != 0) {
    const std::vector<std::string> creator = go.frames({group.created_at}, false);
    // Inlined calls come innermost first; the go statement stands in the innermost.
    if (!creator.empty() && !creator.front().starts_with("runtime.newproc")) out.created_at = creator.front();
    out.of_runtime |= out.created_at.starts_with("runtime.");
  }
  for (const timeline::GoroutinePoint& point : go.goroutines()) {
    const events::GoGroup* then = find(*point.all, group);
    out.counts.push_back({point.time, then == nullptr ? 0 : then->count});
    out.weights.push_back({point.time, then == nullptr ? 0 : then->kept_bytes + then->stack_bytes});
  }
  return out;
}

}  // namespace

std::vector<GroupStory> group_stories(const GoFacts& go) {
  std::vector<GroupStory> out;
  if (go.goroutines().empty()) return out;
  const timeline::GoroutinePoint& last = go.goroutines().back();
  for (const events::GoGroup& group : last.all->groups) out.push_back(story_of(go, last, group));
  return out;
}

Origin origin_of(const GoFacts& go, const events::GoGroup& group) {
  Origin out;
  std::map<std::pair<std::string, bool>, uint64_t> bytes;
  for (const events::GoKeptObject& object : group.large) {
    out.object_bytes = out.objects == 0 || out.object_bytes == object.bytes ? object.bytes : 0;
    ++out.objects;
    if (!object.allocated_at.empty()) {
      ++out.sampled;
      bytes[{program_frame(go.frames(object.allocated_at, false)), true}] += object.bytes;
      continue;
    }
    const std::vector<std::string> frames = go.touched_by(object.address, object.bytes);
    if (frames.empty()) continue;
    ++out.touched;
    const bool allocator = std::any_of(frames.begin(), frames.end(), [](const std::string& frame) {
      return frame.starts_with("runtime.mallocgc");
    });
    bytes[{program_frame(frames), allocator}] += object.bytes;
  }
  uint64_t most = 0;
  for (const auto& [site, sum] : bytes) {
    if (site.first.empty() || sum <= most) continue;
    most = sum;
    out.site = site.first;
    out.allocation = site.second;
  }
  return out;
}

std::optional<GoroutineSummary> summary_of(const GoFacts& go) {
  if (go.goroutines().empty()) return std::nullopt;
  const timeline::GoroutinePoint& last = go.goroutines().back();
  GoroutineSummary out{last.time, last.all->count, {}};
  for (const GroupStory& story : group_stories(go)) {
    if (out.groups.size() == kGroupsShown) break;
    GoroutineGroup& group = out.groups.emplace_back();
    group.count = story.now->count;
    group.wait_reason = story.now->wait_reason;
    group.site = story.site;
    group.created_at = story.created_at;
    if (story.now->oldest_wait_ns != 0) group.waiting_since = story.now->oldest_wait_ns;
    if (story.complete) group.kept_bytes = story.now->kept_bytes;
    group.stack_bytes = story.now->stack_bytes;
    group.frames = story.frames;
  }
  return out;
}

}  // namespace memwhy::explain
