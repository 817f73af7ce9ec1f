// SPDX-License-Identifier: Apache-2.0
// huge-heap: memory that the Go runtime has given back and that huge pages cover again: khugepaged fills the holes that Go made.
// Not memory that was freed lazily (lazy-free), and not huge pages under stacks (huge-pages).
#include "explain/go/rules/huge_heap.h"

#include <fmt/format.h>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class HugeHeap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const LedgerLine* line = huge_released(c);
    if (line == nullptr) return std::nullopt;
    const auto [scans, least, problem] = stay_of(c, Owner::kGoHeapReleasedResident);
    Finding finding = go_finding(c, "huge-heap", problem, {Owner::kGoHeapReleasedResident});
    finding.recoverable_bytes = line->huge_bytes;
    finding.confidence = Confidence::kHigh;
    finding.headline = bytes_and_share(line->bytes, c.ledger) +
                       " were given back by Go and are still resident, mostly in huge pages";
    finding.claim = fmt::format(
        "The Go runtime has given back {} of {}'s memory that are resident all the same: huge pages cover {} "
        "of it.",
        bytes_and_share(line->bytes, c.ledger), c.process.comm, human_bytes(line->huge_bytes));
    finding.bytes_figure("huge_bytes", line->huge_bytes);
    finding.evidence.push_back(
        fmt::format("{} in huge pages, in {} scans", human_bytes(line->huge_bytes), scans));
    finding.count_figure("scans", scans);
    finding.remedy =
        "Set max_ptes_none of khugepaged to 0, or transparent huge pages to madvise: it fills holes that Go "
        "made.";
    if (!problem) finding.against.emplace_back("may be transient: the runtime may just have given them back");
    return finding;
  }
};

}  // namespace

const LedgerLine* huge_released(const Case& c) {
  const LedgerLine* line = line_of(c.ledger, Owner::kGoHeapReleasedResident);
  if (line == nullptr || line->huge_bytes < problem_threshold(c.ledger) || line->huge_bytes * 2 < line->bytes)
    return nullptr;
  return line;
}

const Rule& huge_heap_rule() {
  static const HugeHeap kRule;
  return kRule;
}

}  // namespace memwhy::explain
