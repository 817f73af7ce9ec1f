// SPDX-License-Identifier: Apache-2.0
// anon-growth: anonymous memory that keeps growing and whose structure is unknown: mappings of the program's
// own, a C heap whose arenas were not read. The stack that brought most of it in is the best hint. Not for Go
// heaps: a garbage collector makes any heap rise between two collections.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class AnonGrowth : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    Owner most = Owner::kAnonOther;
    Trend trend;
    for (Owner owner : {Owner::kAnonOther, Owner::kCHeapUnclassified, Owner::kUnattributed}) {
      Trend next = trend_of(c.moments, {owner});
      if (next.lasting() && next.grown_bytes > trend.grown_bytes) {
        most = owner;
        trend = next;
      }
    }
    uint64_t bytes = of(c.ledger.bytes, most);
    if (!trend.lasting() || trend.shown_seconds < lasting_seconds(c) ||
        trend.grown_bytes < problem_threshold(c.ledger) || bytes < problem_threshold(c.ledger)) {
      return std::nullopt;
    }
    Finding finding;
    finding.id = "anon-growth";
    finding.kind = FindingKind::kProblem;
    finding.bytes = bytes;
    finding.owners = {most};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline =
        fmt::format("{} holds {} and keeps growing", owner_name(most).id, bytes_and_share(bytes, c.ledger));
    finding.claim = fmt::format("Anonymous memory of {} keeps growing: {} holds {}{}.", c.process.comm,
                                owner_name(most).id, bytes_and_share(bytes, c.ledger), growth_clause(trend));
    finding.confidence = most == Owner::kUnattributed ? Confidence::kLow : Confidence::kMedium;
    finding.evidence.push_back(grown_text(trend));
    finding.bytes_figure("grown_bytes", trend.grown_bytes);
    for (std::string& entry : heaviest_texts(c, most, 3)) finding.evidence.push_back(std::move(entry));
    finding.remedy =
        "Look at the heaviest stack below this owner: what it maps or allocates is not given back.";
    finding.against.emplace_back(
        "a cache or a heap that is still warming up looks the same: a longer recording will tell them apart");
    if (c.coverage.truncated_stack_bytes * 2 > bytes) {
      finding.against.push_back(fmt::format("stacks of {} are truncated: code without frame pointers",
                                            human_bytes(c.coverage.truncated_stack_bytes)));
      finding.bytes_figure("truncated_stack_bytes", c.coverage.truncated_stack_bytes);
    }
    return finding;
  }
};

}  // namespace

const Rule& anon_growth_rule() {
  static const AnonGrowth kRule;
  return kRule;
}

}  // namespace memwhy::explain
