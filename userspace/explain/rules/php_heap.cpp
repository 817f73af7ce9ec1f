// SPDX-License-Identifier: Apache-2.0
// php-heap: the heap of PHP where it is most of the memory, or rises. PHP counts references, so that what rises is kept and
// no garbage, but for objects that refer to each other. Which variable keeps it is not read.
#include <fmt/format.h>

#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class PhpHeap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts = allocator_facts(c, "zend");
    const LedgerLine* const used = line_of(c.ledger, "php.heap.used");
    if (facts == nullptr || used == nullptr) return std::nullopt;
    const LedgerLine* const free = line_of(c.ledger, "php.heap.free");
    const uint64_t free_bytes = free != nullptr ? free->bytes : 0, all = used->bytes + free_bytes;
    const Trend trend = trend_of(c.moments, {used->owner});
    const bool rises = trend.lasting() && trend.grown_bytes >= problem_threshold(c.ledger);
    if (!rises && (c.largest_family != "php" || all < problem_threshold(c.ledger))) return std::nullopt;

    Finding finding;
    finding.id = "php-heap";
    finding.kind = rises ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = rises ? used->bytes : all;
    finding.owners = {used->owner};
    if (free != nullptr) finding.owners.push_back(free->owner);
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = facts->heap->problem.empty() && !rises ? Confidence::kHigh : Confidence::kMedium;
    finding.headline = rises ? fmt::format("{} are kept by PHP scripts, and keep growing",
                                           bytes_and_share(used->bytes, c.ledger))
                             : fmt::format("{} are the heap of PHP, {} of it free",
                                           bytes_and_share(all, c.ledger), human_bytes(free_bytes));
    finding.claim =
        fmt::format("{} of {} are the heap of PHP; scripts keep {} of it{}.", bytes_and_share(all, c.ledger),
                    c.process.comm, human_bytes(used->bytes), growth_clause(trend));
    if (rises) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    finding.evidence.push_back(fmt::format(
        "{} are free pages and slots in chunks of 2 MiB: PHP gives back a chunk of which nothing is in use",
        human_bytes(free_bytes)));
    finding.bytes_figure("used_bytes", used->bytes);
    finding.bytes_figure("free_bytes", free_bytes);
    finding.remedy =
        rises ? "Look for an array, a static variable or a listener that outlives a job: memory_get_usage() "
                "before and after each job says which one keeps."
              : "None needed if that is what the script keeps. memory_get_usage() is what is in use; "
                "gc_mem_caches() gives back whole chunks that PHP keeps for later.";
    if (!facts->heap->problem.empty())
      finding.against.push_back(fmt::format("not everything was read: {}", facts->heap->problem));
    if (rises) finding.against.emplace_back("a cache that is still filling looks the same");
    return finding;
  }
};

}  // namespace

const Rule& php_heap_rule() {
  static const PhpHeap kRule;
  return kRule;
}

}  // namespace memwhy::explain
