// SPDX-License-Identifier: Apache-2.0
// gc-headroom: objects allocated since the last collection, most of them dead by the next. With GOGC=100 a heap may grow to
// twice what is in use before it is collected; that is the collector's price, and no problem. It is one when the collector
// is off, or set to wait for much longer.
//
// What a collection would leave is known only right after one. With the collector off these objects may be a data set that is
// all in use: then nothing is promised.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "explain/go/memory_limit.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr int32_t kUsualPercent = 100;
constexpr double kLeastReturned = 0.5;  // of what is allocated, freed again: less is no garbage in the main
constexpr uint32_t kLeastCollections = 2;  // what the last one freed may not be swept yet
constexpr int32_t kPatientPercent = 200;   // more than that is a choice to spend memory

// What the collections that were seen had to look at, and what they freed.
struct Collected {
  uint64_t judged = 0, freed = 0;
};

// Of what was allocated during the recording, without what came after the last collection: no collection has judged that.
// `unmarked`: how much of it is resident; the counters know of more where it was not touched.
Collected collected(const GoFacts& go, uint64_t unmarked) {
  const std::vector<timeline::GoPoint>& curve = go.curve();
  const events::GoCounters &first = curve.front().counters, &last = curve.back().counters;
  const auto since = [](uint64_t now, uint64_t before) { return now - std::min(now, before); };
  const auto ended = std::find_if(curve.begin(), curve.end(), [&](const timeline::GoPoint& point) {
    return point.counters.gc_cycles == last.gc_cycles;
  });
  const uint64_t after = since(last.allocated_bytes, ended->counters.allocated_bytes);
  const uint64_t allocated = since(last.allocated_bytes, first.allocated_bytes);
  return {since(allocated, std::max(unmarked, after)), since(last.freed_bytes, first.freed_bytes)};
}

std::string claim(const Case& c, const events::GoCounters& counters, uint64_t bytes) {
  const bool never = counters.gc_cycles == 0,
             limited = counters.memory_limit_bytes != std::numeric_limits<int64_t>::max();
  return fmt::format("Objects {} hold {} of {}'s memory: {}.",
                     never ? "that no collection has looked at yet" : "allocated since the last collection",
                     bytes_and_share(bytes, c.ledger), c.process.comm,
                     counters.gc_percent < 0
                         ? std::string(limited ? "with GOGC=off the collector runs only near GOMEMLIMIT"
                                               : "the collector is off (GOGC=off)")
                         : fmt::format("with GOGC={} the heap may grow{} before the {}", counters.gc_percent,
                                       heap_goal(counters) ? " to " + human_bytes(*heap_goal(counters)) : "",
                                       never ? "first" : "next"));
}

class GcHeadroom : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapUnmarked),
                   threshold = problem_threshold(c.ledger);
    if (counters == nullptr || bytes < threshold) return std::nullopt;
    const int32_t percent = counters->gc_percent;
    const bool off = percent < 0,
               limited = counters->memory_limit_bytes != std::numeric_limits<int64_t>::max();
    const bool patient = off || percent > kPatientPercent;
    const bool problem = patient && !limited && stay_of(c, Owner::kGoHeapUnmarked).lasts;

    Finding finding = go_finding(c, "gc-headroom", problem, {Owner::kGoHeapUnmarked});
    finding.headline = bytes_and_share(bytes, c.ledger) + " are garbage and headroom of the Go collector";
    finding.claim = claim(c, *counters, bytes);
    finding.evidence.push_back(fmt::format(
        "{}; GOGC={}, GOMEMLIMIT={}",
        counters->gc_cycles == 0 ? std::string("no collection has ended yet")
                                 : fmt::format("{} live after the last of {} collections",
                                               human_bytes(counters->live_bytes), counters->gc_cycles),
        off ? "off" : std::to_string(percent),
        limited ? human_bytes(static_cast<uint64_t>(counters->memory_limit_bytes)) : "none"));
    if (counters->gc_cycles > 0) {
      finding.count_figure("collections", counters->gc_cycles);
      finding.bytes_figure("live_bytes", counters->live_bytes);
    }
    if (!off) {
      finding.count_figure("gogc", static_cast<uint64_t>(percent));
      if (heap_goal(*counters)) finding.bytes_figure("goal_bytes", *heap_goal(*counters));
    }
    if (limited) finding.bytes_figure("limit_bytes", static_cast<uint64_t>(counters->memory_limit_bytes));
    bool garbage = true;
    if (!off && collections_seen(c) > 0) {
      garbage = add_figures(c, *counters, bytes, problem, finding);
    } else {
      finding.confidence = problem ? Confidence::kLow : Confidence::kMedium;
      finding.remedy =
          !problem ? "None needed."
          : off    ? "Let the collector run (GOGC=100), or give it a GOMEMLIMIT above what is in use: one "
                     "collection (runtime.GC()) tells how much that is. Either costs CPU."
                   : "A smaller GOGC collects more often, at the cost of CPU; the next collection tells what "
                     "that returns.";
      if (problem && off) finding.remedy += go_limit_text(c);
      finding.against.emplace_back("all of it may be in use: only the next collection will show");
    }
    if (!problem && !off && garbage)
      finding.against.emplace_back(
          "every garbage-collected heap has such room; the next collection frees it");
    return finding;
  }

 private:
  // One GOMEMLIMIT: the container's where it has one.
  static std::string bounded(const Case& c, const std::string& by_percent, uint64_t limit_mib) {
    if (go_limit(c)) return by_percent + ", at the cost of CPU." + go_limit_text(c);
    return fmt::format(
        "{}; or GOMEMLIMIT={}MiB bounds the whole program and collects more often only near it. Either costs "
        "CPU.",
        by_percent, limit_mib);
  }

  // What a collector with half of its patience, but no more than the usual, would leave. false: collections free little.
  static bool add_figures(const Case& c, const events::GoCounters& counters, uint64_t bytes, bool problem,
                          Finding& finding) {
    const int32_t less =
        counters.gc_percent > kPatientPercent ? kUsualPercent : std::max(counters.gc_percent / 2, 1);
    const uint64_t live = counters.live_bytes, left = live / 100 * static_cast<uint64_t>(less);
    const Collected seen = collected(*c.go, bytes);
    const double returned =
        seen.judged == 0 ? 1
                         : std::min(1.0, static_cast<double>(seen.freed) / static_cast<double>(seen.judged));
    const bool enough = collections_seen(c) >= kLeastCollections && seen.judged > bytes;
    if (enough && returned < kLeastReturned) {
      finding.evidence.push_back(
          fmt::format("of {} allocated during the recording before the last collection, {} collections freed "
                      "{}",
                      human_bytes(seen.judged), collections_seen(c), human_bytes(seen.freed)));
      finding.bytes_figure("allocated_bytes", seen.judged);
      finding.bytes_figure("freed_bytes", seen.freed);
      finding.headline =
          bytes_and_share(bytes, c.ledger) + " are Go objects allocated since the last collection";
      finding.remedy = "None here: collections free little of what this program allocates.";
      finding.confidence = Confidence::kMedium;
      finding.against.emplace_back("most of it may be in use: only the next collection will show");
      return false;
    }
    if (bytes > left) finding.recoverable_bytes = bytes - left;
    const uint64_t limit = (c.ledger.rss.bytes - finding.recoverable_bytes.value_or(0)) >> 20;
    finding.remedy =
        problem || bytes > left
            ? bounded(c,
                      fmt::format("GOGC={} lets the heap grow to about {}", less, human_bytes(live + left)),
                      limit)
            : "None needed.";
    finding.confidence = problem || !enough ? Confidence::kMedium : Confidence::kHigh;
    finding.against.emplace_back("some of it may be in use: only the next collection will show");
    return true;
  }
};

}  // namespace

const Rule& gc_headroom_rule() {
  static const GcHeadroom kRule;
  return kRule;
}

}  // namespace memwhy::explain
