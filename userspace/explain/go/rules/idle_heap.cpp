// SPDX-License-Identifier: Apache-2.0
// idle-heap: free spans that the runtime has not given back to the system. It keeps what the next cycle will need, a tenth
// above the heap's goal, and gives the rest back in the background within minutes; memory that stays above that all the time
// is a problem, memory below it is room for the next cycle.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/memory_limit.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class IdleHeap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapIdle), threshold = problem_threshold(c.ledger);
    if (counters == nullptr || bytes < threshold) return std::nullopt;
    // Without a goal no size is too much by the runtime's own measure.
    const std::optional<uint64_t> goal = heap_goal(*counters);
    const uint64_t kept = counters->heap_in_use_bytes + counters->heap_free_bytes,
                   wanted = goal ? *goal + *goal / 10 : kept;
    const uint64_t above = std::min(bytes, kept > wanted ? kept - wanted : 0);
    const Stay stay = stay_of(c, Owner::kGoHeapIdle);
    const bool problem = above >= threshold && stay.lasts;

    Finding finding = go_finding(c, "idle-heap", problem, {Owner::kGoHeapIdle});
    const Trend trend = trend_of(c.samples, {Owner::kGoHeapIdle});
    const bool locked = all_locked(c);
    finding.headline = bytes_and_share(bytes, c.ledger) + " are free inside the Go heap" +
                       (locked ? ", and stay resident: they are locked (mlockall)" : "");
    finding.claim = fmt::format("Free Go spans that were not given back hold {} of {}'s memory{}.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, growth_clause(trend));
    if (!locked) finding.recoverable_bytes = bytes;
    finding.evidence.push_back(fmt::format(
        "the heap has {} in use and {} free; {}", human_bytes(counters->heap_in_use_bytes),
        human_bytes(counters->heap_free_bytes),
        goal ? fmt::format("the runtime aims to keep {} (its goal plus a tenth)", human_bytes(wanted))
             : "the collector has " + goal_text(*counters)));
    finding.bytes_figure("heap_in_use_bytes", counters->heap_in_use_bytes);
    finding.bytes_figure("heap_free_bytes", counters->heap_free_bytes);
    if (goal) finding.bytes_figure("kept_bytes", wanted);
    if (stay.lasts) {
      finding.bytes_figure("least_bytes", stay.least_bytes);
      finding.count_figure("scans", stay.scans);
      finding.evidence.push_back(
          fmt::format("never less than {} in {} scans", human_bytes(stay.least_bytes), stay.scans));
    }
    finding.remedy =
        locked ? std::string(kLockedRemedy)
        : problem
            ? "debug.FreeOSMemory() gives it back at once, once after the peak; GOMEMLIMIT makes the runtime "
              "give back before it grows again." +
                  go_limit_text(c)
        : !goal && counters->gc_percent < 0
            ? "debug.FreeOSMemory() gives it back at once, if the program does not need it again."
            : "None needed: the next cycle of the collector uses it again.";
    finding.confidence = problem ? Confidence::kHigh : Confidence::kMedium;
    if (problem && !locked)
      finding.against.emplace_back(
          "the runtime returns memory slowly in the background: this may shrink by itself");
    return finding;
  }
};

}  // namespace

const Rule& idle_heap_rule() {
  static const IdleHeap kRule;
  return kRule;
}

}  // namespace memwhy::explain
