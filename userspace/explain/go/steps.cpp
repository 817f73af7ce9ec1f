// SPDX-License-Identifier: Apache-2.0
#include "explain/go/steps.h"

#include <algorithm>
#include <limits>
#include <map>

namespace memwhy::explain {
namespace {

constexpr size_t kMostSteps = 64;
constexpr uint64_t kLeastBytes = uint64_t{4} << 20;
// Of a step that no stack explains: what is in use goes up and down by itself.
constexpr uint64_t kLeastUnexplained = uint64_t{16} << 20, kShareUnexplained = 32;
constexpr uint64_t kUsual = 4;       // times what the heap rises by otherwise
constexpr uint64_t kOfManyMost = 4;  // a stack that allocated so many times the step made something else

// How much of each reading is in use to the end, as far as a later collection has judged it.
std::vector<uint64_t> floor_of(const std::vector<timeline::GoPoint>& curve) {
  std::vector<uint64_t> floor(curve.size());
  uint64_t in_use = std::numeric_limits<uint64_t>::max(), live = in_use;
  size_t judges = curve.size();  // readings from here on are of a later collection
  for (size_t i = curve.size(); i-- > 0;) {
    const events::GoCounters& now = curve[i].counters;
    in_use = std::min(in_use, now.heap_in_use_bytes);
    // Collections that ended after this reading; readings of the same collection do not judge it.
    while (judges > 0 && curve[judges - 1].counters.gc_cycles > now.gc_cycles) {
      --judges;
      live = std::min(live, curve[judges].counters.live_bytes);
    }
    floor[i] = std::min(in_use, live);
  }
  const uint32_t last = curve.back().counters.gc_cycles;
  const auto unjudged = std::find_if(curve.begin(), curve.end(), [&](const timeline::GoPoint& point) {
    return point.counters.gc_cycles >= last;
  });
  floor.resize(static_cast<size_t>(unjudged - curve.begin()));
  return floor;
}

// The stack that allocated most large bytes after `since`, up to `time`.
void add_allocation(const GoFacts& go, GoStep& step, StackTable& table) {
  const std::vector<timeline::GoMoment>& moments = go.moments().allocations();
  struct Sum {
    uint64_t objects = 0, bytes = 0;
    TimeNs last = 0;
  };
  std::map<StackId, Sum> stacks;
  auto at =
      std::upper_bound(moments.begin(), moments.end(), step.since,
                       [](TimeNs time, const timeline::GoMoment& moment) { return time < moment.time; });
  for (; at != moments.end() && at->time <= step.time; ++at) {
    Sum& sum = stacks[at->stack];
    ++sum.objects;
    if (at->bytes <= std::numeric_limits<uint64_t>::max() - sum.bytes) sum.bytes += at->bytes;
    sum.last = at->time;
  }
  const auto most = std::max_element(stacks.begin(), stacks.end(), [](const auto& a, const auto& b) {
    return a.second.bytes < b.second.bytes;
  });
  if (most == stacks.end() || most->second.bytes < step.bytes / 2 ||
      most->second.bytes / kOfManyMost > step.bytes)
    return;
  step.objects = most->second.objects;
  step.object_bytes = most->second.bytes;
  step.allocated = most->second.last;
  step.stack = table.add(go.frames_of(most->first));
}

}  // namespace

GoSteps heap_steps(const GoFacts& go, StackTable& table) {
  GoSteps out;
  const std::vector<timeline::GoPoint>& curve = go.curve();
  if (curve.size() < 2) return out;
  const std::vector<uint64_t> floor = floor_of(curve);
  std::vector<uint64_t> rises;
  for (size_t i = 1; i < floor.size(); ++i) rises.push_back(floor[i] - std::min(floor[i], floor[i - 1]));
  if (rises.empty()) return out;
  std::vector<uint64_t> sorted = rises;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const uint64_t usual = *middle;
  for (size_t i = 0; i < rises.size(); ++i) {
    if (rises[i] < kLeastBytes) continue;
    GoStep step{curve[i].time, curve[i + 1].time, rises[i], 0, 0, 0};
    add_allocation(go, step, table);
    const bool stands_out =
        rises[i] >= std::max(kLeastUnexplained, floor[i] / kShareUnexplained) && rises[i] / kUsual >= usual;
    if (step.objects != 0 || stands_out) out.steps.push_back(step);
  }
  if (out.steps.size() <= kMostSteps) return out;
  out.left_out = out.steps.size() - kMostSteps;
  std::stable_sort(out.steps.begin(), out.steps.end(),
                   [](const GoStep& a, const GoStep& b) { return a.bytes > b.bytes; });
  out.steps.resize(kMostSteps);
  std::stable_sort(out.steps.begin(), out.steps.end(),
                   [](const GoStep& a, const GoStep& b) { return a.time < b.time; });
  return out;
}

}  // namespace memwhy::explain
