// SPDX-License-Identifier: Apache-2.0
// fragmentation: spans that a few objects hold in use. After a collection every heap has free slots, and allocation fills
// them up to the goal; a problem is what is in use beyond the goal and stays so: a peak left survivors in many spans.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class Fragmentation : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapFragmentation),
                   threshold = problem_threshold(c.ledger);
    if (counters == nullptr || bytes < threshold) return std::nullopt;
    const uint64_t in_use = counters->heap_in_use_bytes, goal = heap_goal(*counters).value_or(in_use);
    const uint64_t beyond = std::min(bytes, in_use > goal ? in_use - goal : 0);
    const bool problem = beyond >= threshold && stay_of(c, Owner::kGoHeapFragmentation).lasts;

    Finding finding = go_finding(c, "fragmentation", problem, {Owner::kGoHeapFragmentation});
    const uint64_t objects = c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked});
    finding.headline = bytes_and_share(bytes, c.ledger) + " are free slots inside used Go spans";
    finding.claim =
        fmt::format("Free slots in Go spans that are in use hold {} of {}'s memory, beside {} of objects.",
                    bytes_and_share(bytes, c.ledger), c.process.comm, human_bytes(objects));
    finding.bytes_figure("object_bytes", objects);
    finding.bytes_figure("heap_in_use_bytes", in_use);
    if (heap_goal(*counters)) finding.bytes_figure("goal_bytes", goal);
    if (beyond > 0) finding.recoverable_bytes = beyond;
    finding.evidence.push_back(
        fmt::format("spans in use take {}, the collector has {}", human_bytes(in_use), goal_text(*counters)));
    finding.remedy =
        problem ? "Go never moves objects. Allocate what lives long apart from what lives short (before the "
                  "peak, or in slices of values), and copy survivors out after it."
                : "None needed: the next objects go into these slots.";
    finding.confidence = Confidence::kMedium;
    if (!problem)
      finding.against.emplace_back("just after a collection the slots of dead objects look the same");
    return finding;
  }
};

}  // namespace

const Rule& fragmentation_rule() {
  static const Fragmentation kRule;
  return kRule;
}

}  // namespace memwhy::explain
