// SPDX-License-Identifier: Apache-2.0
#include "explain/process_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr size_t kEventsMost = 256;
constexpr uint64_t kStepBytes = uint64_t{16} << 20;

}  // namespace

void ProcessLog::add(TimeNs time, EventWhat what, std::string text, std::optional<uint64_t> bytes) {
  // An OOM kill or an exec is the last thing that happens: there is always room for it.
  if (events_.size() >= kEventsMost && (what == EventWhat::kFork || what == EventWhat::kStep)) {
    ++dropped_;
    last_dropped_ = time;
    return;
  }
  events_.push_back({time, what, std::move(text), bytes});
}

void ProcessLog::compare(const Sample& before, const Sample& now, const OwnerTable& table) {
  bool rose = now.rss_bytes > before.rss_bytes;
  uint64_t moved = rose ? now.rss_bytes - before.rss_bytes : before.rss_bytes - now.rss_bytes;
  if (moved < std::max(kStepBytes, before.rss_bytes / 10)) return;
  // The owner that moved most in that direction; pages that changed their name with better evidence do not
  // count as a reason, so only arrivals and departures are considered.
  size_t most = 0;
  const OwnerBytes& flow = rose ? now.arrived : now.left;
  for (size_t i = 1; i < kOwnerCount; ++i) {
    if (flow[i] > flow[most]) most = i;
  }
  std::string mostly =
      flow[most] > 0 ? fmt::format(", mostly {}", table.name(static_cast<Owner>(most)).id) : std::string();
  add(now.time, EventWhat::kStep,
      fmt::format("RSS {} by {} within {}{}", rose ? "rose" : "fell", human_bytes(moved),
                  human_seconds(static_cast<double>(now.time - before.time) / 1e9), mostly),
      moved);
}

std::vector<TimelineEvent> ProcessLog::events() const {
  std::vector<TimelineEvent> out = events_;
  if (dropped_ > 0) {
    out.push_back({last_dropped_, EventWhat::kFork,
                   fmt::format("{} more forks and steps are not listed", dropped_), std::nullopt});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const TimelineEvent& a, const TimelineEvent& b) { return a.time < b.time; });
  return out;
}

}  // namespace memwhy::explain
