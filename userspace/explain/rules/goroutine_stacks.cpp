// SPDX-License-Identifier: Apache-2.0
// goroutine-stacks: very many goroutines, or very deep ones. A stack doubles when it is too small, and halves only in a
// collection that finds three quarters of it unused. What blocked goroutines leak is goroutine-leak's.
#include <fmt/format.h>

#include <algorithm>

#include "explain/go_groups.h"
#include "explain/rules/causes.h"
#include "explain/rules/go_words.h"

namespace memwhy::explain {
namespace {

constexpr size_t kGroupsShown = 3;
constexpr uint64_t kDeepStack = 64 << 10;  // the usual one is 2 to 8 KiB

class GoroutineStacks : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoStacks), threshold = problem_threshold(c.ledger);
    if (c.go == nullptr || bytes < threshold) return std::nullopt;
    std::vector<GroupStory> groups = group_stories(*c.go);
    std::stable_sort(groups.begin(), groups.end(), [](const GroupStory& a, const GroupStory& b) {
      return a.now->stack_bytes > b.now->stack_bytes;
    });
    const uint64_t count = c.go->goroutines().empty() ? 0 : c.go->goroutines().back().all->count;
    const Trend trend = trend_of(c.samples, {Owner::kGoStacks});
    const bool rising = trend.rising && trend.grown_bytes >= threshold;
    const bool deep = count > 0 && bytes / count >= kDeepStack;

    Finding finding = go_finding(c, "goroutine-stacks", rising || deep, {Owner::kGoStacks});
    finding.claim = fmt::format("Stacks of goroutines hold {} of {}'s memory{}",
                                bytes_and_share(bytes, c.ledger), c.process.comm, growth_clause(trend));
    if (count > 0) {
      finding.claim += fmt::format(": {} goroutine{}, {} each on average", count, count == 1 ? "" : "s",
                                   human_bytes(bytes / count));
    }
    finding.claim += ".";
    for (size_t i = 0; i < std::min(groups.size(), kGroupsShown); ++i) {
      const events::GoGroup& group = *groups[i].now;
      if (group.stack_bytes == 0) break;
      finding.evidence.push_back(
          fmt::format("{} in {} goroutine{} {}{}{}", human_bytes(group.stack_bytes), group.count,
                      group.count == 1 ? "" : "s",
                      group.wait_reason.empty() ? "running or runnable" : "in " + group.wait_reason,
                      groups[i].site.empty() ? "" : " at " + groups[i].site,
                      groups[i].created_at.empty() ? "" : ", created at " + groups[i].created_at));
    }
    finding.remedy =
        !deep && !rising ? "None needed."
        : deep ? "Make the deep recursion or the large local arrays smaller; end the goroutine after "
                 "deep work: a new one starts with a small stack."
               : "Run fewer goroutines (a bounded pool, a limit on connections).";
    if (deep || rising) finding.recoverable_bytes = bytes;
    finding.confidence = count > 0 ? Confidence::kHigh : Confidence::kMedium;
    if (count == 0) finding.against.emplace_back("the goroutines themselves were not read");
    return finding;
  }
};

}  // namespace

const Rule& goroutine_stacks_rule() {
  static const GoroutineStacks kRule;
  return kRule;
}

}  // namespace memwhy::explain
