// SPDX-License-Identifier: Apache-2.0
// anon-growth: anonymous memory that keeps growing and whose structure is unknown: mappings of the program's
// own, a C heap whose arenas were not read. The stack that brought most of it in is the best hint. Not for Go
// heaps: a garbage collector makes any heap rise between two collections.
#include <fmt/format.h>

#include <vector>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

// Of these owners together: bytes that go from one to the other do not grow.
struct Growing {
  std::vector<Owner> owners;
  Trend trend;
  uint64_t bytes = 0;  // now
};

Growing fastest(const Case& c, bool own) {
  Growing out;
  const auto consider = [&](std::initializer_list<Owner> owners) {
    const Trend trend = trend_of(c.moments, owners);
    if (trend.lasting() && trend.grown_bytes > out.trend.grown_bytes)
      out = {owners, trend, c.ledger.total(owners)};
  };
  if (own)
    consider({Owner::kAnonOther, Owner::kAnonMapped});
  else
    consider({Owner::kAnonOther});
  consider({Owner::kCHeapUnclassified});
  consider({Owner::kUnattributed});
  return out;
}

class AnonGrowth : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const auto [owners, trend, bytes] = fastest(c, maps_outside_malloc(c));
    if (!trend.lasting() || trend.shown_seconds < lasting_seconds(c) ||
        trend.grown_bytes < problem_threshold(c.ledger) || bytes < problem_threshold(c.ledger)) {
      return std::nullopt;
    }
    const Owner most = owners.front();
    Finding finding;
    finding.id = "anon-growth";
    finding.kind = FindingKind::kProblem;
    finding.bytes = bytes;
    finding.owners = owners;
    finding.growth_bytes_per_s = trend.bytes_per_s;
    say(c, trend, finding);
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

 private:
  static void say(const Case& c, const Trend& trend, Finding& finding) {
    const std::string bytes = bytes_and_share(finding.bytes, c.ledger), growth = growth_clause(trend);
    if (finding.owners.size() == 1) {
      const std::string_view owner = owner_name(finding.owners.front()).id;
      finding.headline = fmt::format("{} holds {} and keeps growing", owner, bytes);
      finding.claim = fmt::format("Anonymous memory of {} keeps growing: {} holds {}{}.", c.process.comm,
                                  owner, bytes, growth);
      return;
    }
    const std::string by = touched_most(c, finding.owners.front());
    finding.headline = fmt::format(
        "{} were mapped by the program or a library itself, outside of malloc, and keep growing{}{}", bytes,
        by.empty() ? "" : ": ", by);
    finding.claim =
        fmt::format("What {} or a library of it maps itself, outside of malloc, keeps growing: {}{}.",
                    c.process.comm, bytes, growth);
  }
};

}  // namespace

const Rule& anon_growth_rule() {
  static const AnonGrowth kRule;
  return kRule;
}

}  // namespace memwhy::explain
