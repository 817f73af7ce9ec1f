// SPDX-License-Identifier: Apache-2.0
// goroutine-stacks: very many goroutines, or very deep ones. A stack doubles when it is too small, and halves only in a
// collection that finds three quarters of it unused. What blocked goroutines leak: goroutine-leak.
//
// The stack of a goroutine that ended waits for the next one, and is freed by the next collection: these stacks are a
// problem only when collections came and they stayed.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/groups.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr size_t kMostGroupsNamed = 3;
constexpr uint64_t kDeepStack = 64 << 10;  // the usual one is 2 to 8 KiB

uint64_t in_use_bytes(const std::vector<GroupStory>& groups) {
  uint64_t sum = 0;
  for (const GroupStory& group : groups) sum += group.now->stack_bytes;
  return sum;
}

// Most of it belongs to no present goroutine. 0: it does, or not all of them were read.
uint64_t ended_bytes(const Case& c, const std::vector<GroupStory>& groups, uint64_t bytes) {
  if (c.go->goroutines().empty()) return 0;
  uint64_t read = 0;
  for (const GroupStory& group : groups) read += group.now->count;
  const uint64_t in_use = in_use_bytes(groups);
  return read < c.go->goroutines().back().all->count || in_use >= bytes / 2 ? 0 : bytes - in_use;
}

std::string when_freed(const Case& c) {
  const events::GoCounters* counters = go_counters(c);
  return counters != nullptr && counters->gc_percent < 0
             ? "The next collection frees them, and the collector is off (GOGC=off): runtime.GC() is one."
             : "None needed: the next collection frees them.";
}

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
    const Trend trend = trend_of(c.moments, {Owner::kGoStacks});
    const uint64_t in_use = in_use_bytes(groups), ended = ended_bytes(c, groups, bytes);
    const bool rising = trend.lasting() && trend.grown_bytes >= threshold && ended == 0;
    const bool deep = count > 0 && ended == 0 && bytes / count >= kDeepStack;
    const Stay stay = stay_of(c, Owner::kGoStacks);
    const bool kept = ended >= threshold && stay.lasts && collections_seen(c) > 0;

    Finding finding = go_finding(c, "goroutine-stacks", rising || deep || kept, {Owner::kGoStacks});
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline = bytes_and_share(ended > 0 ? ended : bytes, c.ledger) +
                       (ended > 0 ? " are stacks of goroutines that ended" : " are goroutine stacks");
    finding.claim = fmt::format("{} hold {} of {}'s memory{}",
                                ended > 0 ? "Stacks of goroutines that ended" : "Stacks of goroutines",
                                bytes_and_share(ended > 0 ? ended : bytes, c.ledger), c.process.comm,
                                ended > 0 ? std::string() : growth_clause(trend));
    if (ended > 0) {
      finding.claim += fmt::format(": {} {} left, with {} of stacks", count,
                                   count == 1 ? "goroutine is" : "goroutines are", human_bytes(in_use));
      finding.bytes_figure("in_use_bytes", in_use);
    } else if (count > 0) {
      finding.claim += fmt::format(": {} goroutine{}, {} each on average", count, count == 1 ? "" : "s",
                                   human_bytes(bytes / count));
      finding.bytes_figure("bytes_each", bytes / count);
    }
    if (rising) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    if (count > 0) finding.count_figure("goroutines", count);
    finding.claim += ".";
    for (size_t i = 0; i < std::min(groups.size(), kMostGroupsNamed); ++i) {
      const events::GoGroup& group = *groups[i].now;
      if (group.stack_bytes == 0) break;
      finding.evidence.push_back(fmt::format(
          "{} in {} goroutine{} {}{}{}", human_bytes(group.stack_bytes), group.count,
          group.count == 1 ? "" : "s",
          group.wait_reason.empty() ? "running or runnable" : "in " + group.wait_reason,
          groups[i].site.known() ? " at " + text_of(groups[i].site, FrameText::kShort) : "",
          groups[i].created_at.known() ? ", created at " + text_of(groups[i].created_at, FrameText::kShort)
                                       : ""));
    }
    finding.remedy =
        kept ? "Start fewer goroutines at once (a bounded pool): a stack that is in use keeps the free ones "
               "beside it in its span."
        : ended > 0 ? when_freed(c)
        : deep      ? "Make the deep recursion or the large local arrays smaller; end the goroutine after "
                      "deep work: a new one starts with a small stack."
        : rising    ? "Run fewer goroutines (a bounded pool, a limit on connections)."
                    : "None needed.";
    if (ended > 0) {
      finding.bytes = ended;
      finding.recoverable_bytes = ended;
    } else if (deep || rising) {
      finding.recoverable_bytes = bytes;
    }
    if (kept) {
      finding.evidence.push_back(fmt::format(
          "never less than {} in {} scans, with {} collection{} in between", human_bytes(stay.least_bytes),
          stay.scans, collections_seen(c), collections_seen(c) == 1 ? "" : "s"));
      finding.bytes_figure("least_bytes", stay.least_bytes);
      finding.count_figure("scans", stay.scans);
      finding.count_figure("collections", collections_seen(c));
    }
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
