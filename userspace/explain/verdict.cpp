// SPDX-License-Identifier: Apache-2.0
#include "explain/verdict.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/books.h"
#include "explain/rules/rule.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr size_t kLeastReadings = 4;
constexpr double kHour = 3600, kDay = 24 * kHour;
constexpr uint64_t kLeastRise = 256 << 10;  // less is noise
constexpr double kMostGap = 15;             // seconds without a reading, or a third of the recording

// Something that a rule needed and did not see.
struct Missing {
  std::string reason;
  std::optional<double> seconds;
};

std::vector<TimeNs> times_of(const Case& c, const std::vector<TrendPoint>& rss) {
  std::vector<TimeNs> times;
  for (const Sample& sample : c.moments) times.push_back(sample.time);
  for (const TrendPoint& point : rss) times.push_back(point.time);
  std::sort(times.begin(), times.end());
  return times;
}

double seconds_from(TimeNs from, TimeNs to) { return static_cast<double>(to - from) / 1e9; }

void add_time(const std::vector<TimeNs>& times, std::vector<Missing>& missing) {
  const double watched = seconds_from(times.front(), times.back());
  if (watched < kLastingSeconds) {
    // Of 19.7 s "20 s" would be no reason.
    const double shown = std::min(watched, kLastingSeconds - 1);
    missing.push_back({fmt::format("memwhy watched for {}, growth shows from {} on", human_seconds(shown),
                                   human_seconds(kLastingSeconds)),
                       std::max(kLastingSeconds - watched, 1.0)});
    return;
  }
  if (times.size() < kLeastReadings)
    missing.push_back({fmt::format("RSS was read {} times in {}, growth shows from {} on", times.size(),
                                   human_seconds(watched), kLeastReadings),
                       watched});
  double gap = 0;
  for (size_t i = 1; i < times.size(); ++i) gap = std::max(gap, seconds_from(times[i - 1], times[i]));
  if (gap > std::max(kMostGap, watched / 3))
    missing.push_back(
        {fmt::format("nothing was read for {} of {}", human_seconds(gap), human_seconds(watched)),
         std::nullopt});
}

// RSS rises, and it is too early to know whether it goes on; or it rose, and it is too early to know that it is over.
void add_part(const Case& c, const Trend& trend, std::vector<Missing>& missing) {
  const double threshold = static_cast<double>(problem_threshold(c.ledger)),
               grown = static_cast<double>(trend.floor_bytes);
  const std::string by = human_bytes(trend.floor_bytes);
  if (trend.rising && trend.floor_bytes >= kLeastRise) {
    const double bytes = trend.shown_seconds * (threshold / grown - 1),
                 time = lasting_seconds(c) - trend.shown_seconds;
    const double more = std::max({bytes, time, kLastingSeconds / 4});
    if (more <= kDay)
      missing.push_back(
          {fmt::format("it grew by {} in {} and goes on", by, human_seconds(trend.shown_seconds)), more});
    return;
  }
  // Of one tooth that is higher than the ones before nothing is known.
  const double watched = c.moments.empty() ? 0 : seconds_from(c.moments.front().time, c.moments.back().time);
  if (static_cast<double>(trend.untested_bytes) >= threshold && trend.untested_seconds * 2 > watched) {
    missing.push_back({fmt::format("it grew by {} since it fell {} ago", human_bytes(trend.untested_bytes),
                                   human_seconds(trend.untested_seconds)),
                       trend.untested_seconds});
    return;
  }
  if (grown < threshold) return;
  if (trend.shape == Shape::kTeeth)
    missing.push_back(
        {fmt::format("it goes up and down, and what it falls to rose by {}", by), trend.shown_seconds});
  if (trend.shape == Shape::kStopped && trend.still_seconds < trend.risen_seconds)
    missing.push_back({fmt::format("it grew by {} until {} ago", by, human_seconds(trend.still_seconds)),
                       trend.risen_seconds - trend.still_seconds});
}

// Files, shared memory, and anonymous memory: each may grow while another shrinks.
void add_rss(const Case& c, const std::vector<TrendPoint>& rss, std::vector<Missing>& missing) {
  add_part(c, trend_of(bytes_of_kind(c.moments, Kind::kFile)), missing);
  add_part(c, trend_of(bytes_of_kind(c.moments, Kind::kShared)), missing);
  // Of a Go program the heap's part is judged by its books, where they can be read.
  const bool books = c.go != nullptr && c.go->layout_trusted();
  add_part(
      c, trend_of(!books && rss.size() >= kLeastReadings ? rss : bytes_of_kind(c.moments, Kind::kAnonymous)),
      missing);
}

std::string seen(uint32_t collections) {
  if (collections == 0) return "no collection was seen";
  return fmt::format("{} collection{} seen", collections, collections == 1 ? " was" : "s were");
}

void add_go(const Case& c, std::vector<Missing>& missing) {
  if (c.go == nullptr || !c.go->layout_trusted()) return;
  const HeapBooks books = books_of(c.go->curve());
  const auto threshold = static_cast<double>(problem_threshold(c.ledger));
  if (books.rising) {
    const double bytes = books.seconds * (threshold / static_cast<double>(books.grown_bytes) - 1);
    const double time = books.lasting() ? 0
                                        : std::max(kLastingSeconds - books.judged_seconds,
                                                   books.next_collection_s.value_or(kLastingSeconds));
    const double more = std::max(bytes, time);
    if (more > 0 && more <= kDay)
      missing.push_back({fmt::format("{}, and what they left in use rose by {}", seen(books.collections),
                                     human_bytes(books.grown_bytes)),
                         more});
    return;
  }
  // What hardly allocates can't leak much either.
  if (books.allocated_per_s() * kHour < threshold) return;
  const double between = books.seconds_between.value_or(0);
  if (books.collections >= kLeastCollections) {
    const double grown = static_cast<double>(books.live_now) - static_cast<double>(books.live_before);
    if (books.unsettled && grown * 2 >= threshold)
      missing.push_back(
          {fmt::format("{}, and the last one left more in use than the one before", seen(books.collections)),
           books.next_collection_s ? std::optional(*books.next_collection_s + between) : std::nullopt});
    return;
  }
  if (!books.next_collection_s) {
    missing.push_back(
        {"the Go collector is off, so that what is in use of its heap is unknown", std::nullopt});
    return;
  }
  const uint32_t more = kLeastCollections - books.collections - 1;  // after the next one
  missing.push_back(
      {fmt::format("{}, of {} that show growth; the next is due in about {} at this rate",
                   seen(books.collections), kLeastCollections, human_seconds(*books.next_collection_s)),
       *books.next_collection_s + more * between});
}

}  // namespace

Verdict verdict_of(const Case& c, const std::vector<Finding>& findings, const std::vector<TrendPoint>& rss) {
  Verdict verdict;
  const std::vector<TimeNs> times = times_of(c, rss);
  if (times.empty()) {
    verdict.reason = "no scan was completed";
    return verdict;
  }
  verdict.watched_seconds = seconds_from(times.front(), times.back());
  if (std::any_of(findings.begin(), findings.end(),
                  [](const Finding& each) { return each.kind == FindingKind::kProblem; })) {
    verdict.kind = VerdictKind::kProblem;
    return verdict;
  }
  std::vector<Missing> missing;
  if (!c.coverage.scan_complete) missing.push_back({"the only scan was cut short", std::nullopt});
  if (c.samples.size() < 2)
    missing.push_back({"its pages were scanned once, and growth takes two scans to show", kLastingSeconds});
  add_time(times, missing);
  add_rss(c, rss, missing);
  add_go(c, missing);
  if (missing.empty()) {
    verdict.kind = VerdictKind::kNoProblem;
    verdict.seen_from_bytes_per_s =
        static_cast<double>(problem_threshold(c.ledger)) / *verdict.watched_seconds;
    return verdict;
  }
  // What no time would show comes first; else the last one matters most.
  const auto never =
      std::find_if(missing.begin(), missing.end(), [](const Missing& each) { return !each.seconds; });
  if (never != missing.end()) {
    verdict.reason = never->reason;
    return verdict;
  }
  verdict.reason = missing.back().reason;
  for (const Missing& each : missing)
    verdict.seconds_more = std::max(verdict.seconds_more.value_or(0), *each.seconds);
  return verdict;
}

}  // namespace memwhy::explain
