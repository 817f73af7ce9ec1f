// SPDX-License-Identifier: Apache-2.0
#include "explain/go/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "base/text.h"
#include "explain/go/allocation.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kSameMoment = 500'000'000;
constexpr TimeNs kClockError = 1'000'000;      // between two clocks of the kernel, by the last anchor
constexpr TimeNs kMarkReach = 1'000'000'000;   // a collection's pause ends within this time after its marking
constexpr uint64_t kReleasedBytes = 16 << 20;  // less is not reported
constexpr size_t kMostReleases = 64, kMostChanges = 32;

TimeNs distance(TimeNs a, TimeNs b) { return a < b ? b - a : a - b; }

std::string limit_text(int64_t bytes) {
  return bytes == std::numeric_limits<int64_t>::max() ? "none" : human_bytes(static_cast<uint64_t>(bytes));
}

std::string percent_text(int32_t percent) { return percent < 0 ? "off" : std::to_string(percent); }

void add_collections(const GoFacts& go, ProcessExplanation& out) {
  const std::deque<timeline::GoMark>& marks = go.cycles().marks();
  TimeNs before = 0;
  for (const events::GoPause& pause : go.cycles().pauses()) {
    const std::optional<TimeNs> ended = go.monotonic(pause.end_unix_ns);
    if (!ended) continue;
    GoCycle cycle{pause.collection, pause.pause_ns, std::nullopt};
    // Its marking is the one that ended last before its pause did, and after the pause of the collection before.
    const auto after =
        std::upper_bound(marks.begin(), marks.end(), *ended + kClockError,
                         [](TimeNs time, const timeline::GoMark& mark) { return time < mark.end; });
    if (after != marks.begin()) {
      const timeline::GoMark& mark = *std::prev(after);
      if (mark.end > before && mark.end + kMarkReach + pause.pause_ns > *ended)
        cycle.mark_ns = mark.end - mark.start;
    }
    before = *ended + kClockError;
    std::string text = fmt::format("collection {} stopped the world for {:.2f} ms", pause.collection,
                                   static_cast<double>(pause.pause_ns) / 1e6);
    if (cycle.mark_ns)
      text += fmt::format(", and marked for {:.1f} ms", static_cast<double>(*cycle.mark_ns) / 1e6);
    out.events.push_back({*ended, EventWhat::kCollection, std::move(text), std::nullopt, cycle});
    ++out.go->pauses->listed;
  }
}

// What gave memory back between `since` and `time`; "" not seen.
std::string asked_by(const GoFacts& go, TimeNs since, TimeNs time) {
  const std::vector<timeline::GoMoment>& moments = go.moments().scavenges();
  std::map<StackId, uint64_t> stacks;
  auto at = std::upper_bound(moments.begin(), moments.end(), since,
                             [](TimeNs t, const timeline::GoMoment& moment) { return t < moment.time; });
  for (; at != moments.end() && at->time <= time; ++at) {
    uint64_t& bytes = stacks[at->stack];
    bytes += std::min(at->bytes, std::numeric_limits<uint64_t>::max() - bytes);
  }
  const auto most = std::max_element(stacks.begin(), stacks.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == stacks.end()) return "";
  const std::vector<Frame> frames = go.frames_of(most->first);
  for (const Frame& frame : frames)
    if (frame.function.starts_with("runtime.bgscavenge")) return ", in the background";
  const Frame site = program_frame(frames);
  return site.known() ? ", asked for by " + text_of(site, FrameText::kShort) : "";
}

void add_releases(const GoFacts& go, std::vector<TimelineEvent>& events) {
  const std::vector<timeline::GoPoint>& curve = go.curve();
  size_t told = 0, untold = 0;
  TimeNs last = 0;
  for (size_t i = 1; i < curve.size(); ++i) {
    const events::GoCounters &before = curve[i - 1].counters, &now = curve[i].counters;
    if (now.heap_released_bytes < before.heap_released_bytes + kReleasedBytes) continue;
    const uint64_t bytes = now.heap_released_bytes - before.heap_released_bytes;
    // A heap that grows takes more from the system than it needs: what it has not touched counts as released.
    if (now.heap_free_bytes + now.heap_in_use_bytes + kReleasedBytes >
        before.heap_free_bytes + before.heap_in_use_bytes)
      continue;
    last = curve[i].time;
    if (told == kMostReleases) {
      ++untold;
      continue;
    }
    ++told;
    events.push_back({last, EventWhat::kReleased,
                      fmt::format("the Go runtime gave {} back to the system within {}{}", human_bytes(bytes),
                                  human_seconds(static_cast<double>(last - curve[i - 1].time) / 1e9),
                                  asked_by(go, curve[i - 1].time, last)),
                      bytes});
  }
  if (untold > 0)
    events.push_back({last, EventWhat::kReleased,
                      fmt::format("{} more times that memory was given back are not listed", untold),
                      std::nullopt});
}

void add_changes(const GoFacts& go, std::vector<TimelineEvent>& events) {
  const std::vector<timeline::GoPoint>& curve = go.curve();
  size_t told = 0;
  for (size_t i = 1; i < curve.size() && told < kMostChanges; ++i) {
    const events::GoCounters &before = curve[i - 1].counters, &now = curve[i].counters;
    if (now.gc_percent != before.gc_percent) {
      events.push_back({curve[i].time, EventWhat::kLimit,
                        fmt::format("GOGC was set to {} (it was {})", percent_text(now.gc_percent),
                                    percent_text(before.gc_percent)),
                        std::nullopt});
      ++told;
    }
    if (now.memory_limit_bytes != before.memory_limit_bytes) {
      events.push_back(
          {curve[i].time, EventWhat::kLimit,
           fmt::format("GOMEMLIMIT was set to {} (it was {})", limit_text(now.memory_limit_bytes),
                       limit_text(before.memory_limit_bytes)),
           std::nullopt});
      ++told;
    }
  }
}

}  // namespace

void add_go_points(const GoFacts& go, std::vector<TimelinePoint>& timeline) {
  const std::vector<timeline::GoPoint>& curve = go.curve();
  if (!go.layout_trusted()) return;
  // Not every reading has allocations: the last one up to curve[k] that has, and the one before.
  const timeline::GoPoint *before = nullptr, *rated = nullptr;
  const auto reached = [&](const timeline::GoPoint& reading) {
    if (!reading.allocations) return;
    before = rated;
    rated = &reading;
  };
  if (!curve.empty()) reached(curve.front());
  size_t k = 0;
  for (TimelinePoint& point : timeline) {
    while (k + 1 < curve.size() &&
           distance(curve[k + 1].time, point.time) <= distance(curve[k].time, point.time))
      reached(curve[++k]);
    if (k >= curve.size() || distance(curve[k].time, point.time) > kSameMoment) continue;
    const events::GoCounters& c = curve[k].counters;
    point.go = GoTimelinePoint{c.live_bytes, heap_goal(c),          c.allocated_bytes, c.freed_bytes,
                               c.gc_cycles,  c.heap_released_bytes, c.gc_percent,      c.memory_limit_bytes};
    if (before != nullptr && distance(rated->time, point.time) <= kSameMoment)
      point.go->allocation = rates_between(*before, *rated);
  }
}

void add_go_events(const GoFacts& go, ProcessExplanation& out) {
  if (!out.go || !out.go->pauses) return;  // no counters that are trusted
  add_collections(go, out);
  add_releases(go, out.events);
  add_changes(go, out.events);
  std::stable_sort(out.events.begin(), out.events.end(),
                   [](const TimelineEvent& a, const TimelineEvent& b) { return a.time < b.time; });
}

}  // namespace memwhy::explain
