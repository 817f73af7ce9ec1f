// SPDX-License-Identifier: Apache-2.0
// near-limit: the container comes near its limit, by memory that reclaim of page cache cannot free. A problem only if that
// rises, and this process has its share in the rise, or the container was requested: then with the time at which the limit is
// reached at this rate. A tightly sized container is no problem, nor is a neighbour's leak a problem of this process.
//
// Also if it is there already: at memory.high, or at the limit, only reclaim makes room, and tasks wait for it (PSI).
//
// How long it takes is forecast.h's.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/whole.h"
#include "explain/forecast.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr double kNear = 0.10;          // of the limit is left
constexpr double kForeseen = 6 * 3600;  // seconds; what comes later is nothing to act on now
constexpr double kOwnShare = 0.5;       // of the rise: then it is this process that grows
constexpr double kWaits =
    0.10;  // of the time some task of it waits for memory: a program is noticeably slower

// It is at a limit, and its tasks wait for memory.
struct Pressure {
  double waited_s = 0, seconds = 0;
  uint64_t hits = 0, at_bytes = 0;
  const char *at = "", *figure = "", *raised = "";  // which limit: in sentences, as a figure, in a remedy
};

std::optional<Pressure> pressure(const CgroupSummary& cgroup) {
  if (!cgroup.waited_some_seen_us || cgroup.curve.size() < 2) return std::nullopt;
  Pressure out;
  const TimeNs first = cgroup.curve.front().time, last = cgroup.curve.back().time;
  if (last <= first) return std::nullopt;
  out.seconds = static_cast<double>(last - first) / 1e9;
  // The kernel adds up what is over, so that it may count a wait that began before.
  out.waited_s = std::min(static_cast<double>(*cgroup.waited_some_seen_us) / 1e6, out.seconds);
  if (out.waited_s < kWaits * out.seconds) return std::nullopt;
  const uint64_t high = cgroup.high_events_seen.value_or(0), max = cgroup.max_events_seen.value_or(0);
  if (high > 0 && cgroup.memory.high_bytes) {
    out.hits = high;
    out.at_bytes = *cgroup.memory.high_bytes;
    out.at = out.raised = "memory.high";
    out.figure = "high_bytes";
  } else if (max > 0 && cgroup.memory.limit_bytes) {
    out.hits = max;
    out.at_bytes = *cgroup.memory.limit_bytes;
    out.at = "limit";
    out.raised = "the limit";
    out.figure = "limit_bytes";
  } else {
    return std::nullopt;  // the machine's want, not the container's
  }
  return out;
}

// By how much RSS rose in the time of the container's rise.
int64_t own_rise(const Case& c, const Trend& trend) {
  if (c.moments.empty()) return 0;
  const double since = static_cast<double>(c.moments.back().time) - trend.shown_seconds * 1e9;
  const auto first = std::find_if(c.moments.begin(), c.moments.end(), [&](const Sample& sample) {
    return static_cast<double>(sample.time) >= since;
  });
  if (first == c.moments.end()) return 0;
  return minus(c.moments.back().rss_bytes, first->rss_bytes);
}

// What is seen of one that does not grow; "": too short, or up and down.
std::string risen_clause(const std::vector<TrendPoint>& held) {
  if (held.empty()) return "";
  const TrendPoint &first = held.front(), &last = held.back();
  const double seconds = static_cast<double>(last.time - first.time) / 1e9;
  if (seconds < kLastingSeconds) return "";
  if (last.value > first.value)
    return fmt::format(", and it rose by {} in {}", human_bytes(last.value - first.value),
                       human_seconds(seconds));
  const bool level = std::none_of(held.begin(), held.end(),
                                  [&](const TrendPoint& each) { return each.value > first.value; });
  return level ? fmt::format(", and it did not rise in {}", human_seconds(seconds)) : "";
}

class NearLimit : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.cgroup == nullptr) return std::nullopt;
    const events::CgroupMemory& memory = c.cgroup->memory;
    if (const std::optional<Pressure> there = pressure(*c.cgroup)) return pressed(c, *there);
    if (memory.limit_bytes.value_or(0) == 0) return std::nullopt;
    const uint64_t limit = *memory.limit_bytes, room = *c.cgroup->held_room_bytes();
    std::vector<TrendPoint> held;
    for (const timeline::CgroupPoint& point : c.cgroup->curve) held.push_back({point.time, point.held_bytes});
    const Trend trend = held.empty() ? Trend{} : trend_of(held);
    std::optional<Forecast> reached = forecast(held, trend, room);
    const bool grows = reached && reached->seconds <= kForeseen &&
                       static_cast<double>(trend.grown_bytes) >= kLeastRise * static_cast<double>(limit);
    const bool near = static_cast<double>(room) < kNear * static_cast<double>(limit);
    if (!grows && !near) return std::nullopt;

    const int64_t own = grows ? own_rise(c, trend) : 0;
    const bool its =
        c.cgroup->asked_for || static_cast<double>(own) >= kOwnShare * static_cast<double>(trend.grown_bytes);

    Finding finding;
    finding.id = "near-limit";
    finding.kind = grows && its ? FindingKind::kProblem : FindingKind::kExplains;
    finding.of_other_owners = true;
    const std::string left =
        fmt::format("{} of {} are left in the container", human_bytes(room), human_bytes(limit));
    finding.headline =
        grows ? fmt::format("{}, and are used up {} at this rate", left, when_text(*reached)) : left;
    finding.claim =
        grows ? fmt::format(
                    "The memory limit of {} is reached {} at this rate ({}): it is {}, of which {} are left.",
                    memory.path, when_text(*reached), human_rate_per_min(reached->bytes_per_s),
                    human_bytes(limit), human_bytes(room))
              : fmt::format(
                    "{} holds {} of its limit of {} by memory that reclaim of page cache does not bring "
                    "back: {} are left{}.",
                    memory.path, human_bytes(memory.held_bytes()), human_bytes(limit), human_bytes(room),
                    risen_clause(held));
    add_evidence(c, memory, finding);
    if (grows) add_growth(c, trend, own, finding);
    if (grows) {
      finding.growth_bytes_per_s = reached->bytes_per_s;
      finding.figure("reached_in_seconds", FigureUnit::kRatio, reached->seconds);
      finding.figure("earliest_seconds", FigureUnit::kRatio, reached->earliest_s);
      if (reached->latest_s) finding.figure("latest_seconds", FigureUnit::kRatio, *reached->latest_s);
      finding.evidence.push_back(seconds_text(*reached));
    }
    finding.bytes_figure("limit_bytes", limit);
    finding.bytes_figure("left_bytes", room);
    finding.bytes_figure("held_bytes", memory.held_bytes());
    finding.remedy = grows ? "Find what grows (the other findings, or another process of the container), or "
                             "raise the limit: when "
                             "it is reached, the kernel kills a process of the container."
                           : "None needed while it stays so: the next peak may be the one that does not fit.";
    finding.confidence = grows && reached->latest_s ? Confidence::kMedium : Confidence::kLow;
    return finding;
  }

 private:
  static Finding pressed(const Case& c, const Pressure& there) {
    const events::CgroupMemory& memory = c.cgroup->memory;
    const uint64_t own = c.process.counters ? c.process.counters->rss_anon_bytes : 0;
    const bool its = c.cgroup->asked_for ||
                     static_cast<double>(own) >= kOwnShare * static_cast<double>(memory.held_bytes());
    Finding finding;
    finding.id = "near-limit";
    finding.kind = its ? FindingKind::kProblem : FindingKind::kExplains;
    finding.of_other_owners = true;
    finding.headline =
        fmt::format("the container is at its {} of {}, and waits for memory {:.0f} % of the time", there.at,
                    human_bytes(there.at_bytes), 100 * there.waited_s / there.seconds);
    finding.claim = fmt::format(
        "{} is at its {} of {}: some of its tasks waited for memory for {:.1f} of {:.1f} s, and it was hit "
        "{} times.",
        memory.path, there.at, human_bytes(there.at_bytes), there.waited_s, there.seconds,
        grouped(there.hits));
    finding.confidence = Confidence::kHigh;
    finding.evidence.push_back(fmt::format("its usage is {}, without page cache that can be reclaimed {}",
                                           human_bytes(memory.usage_bytes),
                                           human_bytes(memory.held_bytes())));
    finding.evidence.push_back(
        fmt::format("{} has {} of anonymous memory in it", c.process.comm, human_bytes(own)));
    finding.figure("waited_seconds", FigureUnit::kRatio, there.waited_s);
    finding.figure("watched_seconds", FigureUnit::kRatio, there.seconds);
    finding.count_figure("hits", there.hits);
    finding.bytes_figure(there.figure, there.at_bytes);
    finding.bytes_figure("held_bytes", memory.held_bytes());
    finding.remedy = fmt::format("Raise {}, or bring what the container holds below it (the other findings).",
                                 there.raised);
    return finding;
  }

  static std::string seconds_text(const Forecast& forecast) {
    std::string out = fmt::format("in seconds: {:.1f}, by the fastest quarter of the rise {:.1f}",
                                  forecast.seconds, forecast.earliest_s);
    if (forecast.latest_s) out += fmt::format(", by the slowest {:.1f}", *forecast.latest_s);
    return out;
  }

  static void add_growth(const Case& c, const Trend& trend, int64_t own, Finding& finding) {
    finding.evidence.push_back("that " + grown_text(trend));
    finding.evidence.push_back(own <= 0 ? fmt::format("RSS of {} did not rise in that time", c.process.comm)
                                        : fmt::format("RSS of {} rose by {} in that time", c.process.comm,
                                                      human_bytes(static_cast<uint64_t>(own))));
    finding.against.emplace_back(
        "a rate that was seen is no promise: what grows may stop, or a peak come first");
  }

  static void add_evidence(const Case& c, const events::CgroupMemory& memory, Finding& finding) {
    finding.evidence.push_back(fmt::format(
        "the limit of {} is {}; its usage {}, without page cache that can be reclaimed {}", memory.path,
        human_bytes(*memory.limit_bytes), human_bytes(memory.usage_bytes), human_bytes(memory.held_bytes())));
    if (memory.high_bytes && *memory.high_bytes < *memory.limit_bytes)
      finding.evidence.push_back(
          fmt::format("from memory.high, {}, on who allocates is slowed down: {} times during the recording",
                      human_bytes(*memory.high_bytes), grouped(c.cgroup->high_events_seen.value_or(0))));
    if (c.cgroup->max_events_seen.value_or(0) > 0)
      finding.evidence.push_back(
          fmt::format("the limit was hit {} times during the recording, and page cache given up",
                      *c.cgroup->max_events_seen));
    add_swap(memory, finding);
  }

  static void add_swap(const events::CgroupMemory& memory, Finding& finding) {
    const uint64_t swapped = memory.swap_bytes.value_or(0);
    if (memory.swap_limit_bytes && swapped >= *memory.swap_limit_bytes) return;
    if (swapped > 0)
      finding.against.push_back(fmt::format("{} are in swap: more may go there", human_bytes(swapped)));
    else
      finding.against.emplace_back(
          "where the machine has swap, anonymous memory may go there before the limit kills");
  }
};

}  // namespace

const Rule& near_limit_rule() {
  static const NearLimit kRule;
  return kRule;
}

}  // namespace memwhy::explain
