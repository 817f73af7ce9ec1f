// SPDX-License-Identifier: Apache-2.0
// pool-retention: objects in a sync.Pool (a global variable) that are reached from the pool alone, so that nothing uses them. A
// pool keeps buffers that were needed once, at a peak, or that have grown large, as long as some are taken and put back
// between two collections. It explains; which of them are wanted, only the program knows. A program's own free lists:
// held-heap.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/holder_words.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class PoolRetention : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.go == nullptr || !c.go->layout_trusted() || c.go->goroutines().empty()) return std::nullopt;
    const std::optional<events::GoHeld>& held = c.go->goroutines().back().all->held;
    if (!held) return std::nullopt;
    const events::GoHolder* largest = nullptr;
    for (const events::GoHolder& holder : held->holders)
      if (holder.pool_lists != 0 && (largest == nullptr || holder.resident_bytes > largest->resident_bytes))
        largest = &holder;
    if (largest == nullptr) return std::nullopt;
    const uint64_t heap =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapUnclassified});
    const uint64_t bytes = std::min(largest->resident_bytes, heap);
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;
    return told(c, *held, *largest, bytes);
  }

 private:
  static Finding told(const Case& c, const events::GoHeld& held, const events::GoHolder& holder,
                      uint64_t bytes) {
    Finding finding = go_finding(c, "pool-retention", false, {Owner::kGoHeapLive});
    finding.bytes = bytes;
    finding.growth_bytes_per_s.reset();  // of the heap, not of the pool
    // Without a symbol the size of the variable is unknown, and only what it points to identifies it.
    finding.confidence = held.complete && !holder.name.empty() ? Confidence::kHigh : Confidence::kMedium;
    const std::string who = text_of_holder(c, holder);
    finding.headline = fmt::format("{} lie in a sync.Pool, {}", bytes_and_share(bytes, c.ledger), who);
    finding.claim = fmt::format("{} of {}'s memory lie in a sync.Pool, {}: nothing else refers to them.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, who);
    add_sizes(holder, finding);
    add_sites(c, holder, finding);
    finding.evidence.push_back(
        fmt::format("it has lists for {} Ps, each padded to 128 bytes: only pools do", holder.pool_lists));
    finding.count_figure("pool_lists", holder.pool_lists);
    finding.remedy =
        "Do not put back buffers that have grown large (compare cap with a limit before Put), and have pools "
        "for "
        "sizes that differ much. Two collections without use empty a pool.";
    finding.against.emplace_back("a program that soon takes them out again gains nothing from less");
    if (holder.name.empty())
      finding.against.emplace_back(
          "the variable has no symbol: that it is a pool is told by what it points to alone");
    if (!held.complete)
      finding.against.emplace_back("the walk of the heap was not finished: others may refer to it too");
    return finding;
  }
};

}  // namespace

const Rule& pool_retention_rule() {
  static const PoolRetention kRule;
  return kRule;
}

}  // namespace memwhy::explain
