// SPDX-License-Identifier: Apache-2.0
// lazy-free: memory that the Go runtime has given back and that is resident all the same: it was given back lazily (MADV_FREE:
// the kernel takes it when memory is short). What huge pages cover again is huge-heap's, where it is enough. Memory that is in
// this state only for a moment was given back, or taken again, during the reading. Locked memory can't be given back at all.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/huge_heap.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class LazyFree : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapReleasedResident);
    const LedgerLine* line = line_of(c.ledger, Owner::kGoHeapReleasedResident);
    if (line == nullptr || bytes < problem_threshold(c.ledger)) return std::nullopt;
    if (huge_released(c) != nullptr) return std::nullopt;
    const bool lazy = line->lazy_bytes > 0, locked = all_locked(c);
    const auto [scans, least, problem] = stay_of(c, Owner::kGoHeapReleasedResident);
    Finding finding = go_finding(c, "lazy-free", problem, {Owner::kGoHeapReleasedResident});
    finding.headline = bytes_and_share(bytes, c.ledger) + " were given back by Go and are still resident";
    finding.claim =
        fmt::format("{} of {}'s memory were given back by the Go runtime and are still resident: {}.",
                    bytes_and_share(bytes, c.ledger), c.process.comm,
                    locked                          ? "they are locked (mlockall)"
                    : lazy                          ? "they were freed lazily (MADV_FREE)"
                    : line->huge_bytes * 2 >= bytes ? "huge pages cover most of it"
                                                    : "the reason was not seen");
    if (!locked) finding.recoverable_bytes = bytes;
    finding.evidence.push_back(fmt::format("{} in huge pages, {} under an observed MADV_FREE",
                                           human_bytes(line->huge_bytes), human_bytes(line->lazy_bytes)));
    finding.bytes_figure("huge_bytes", line->huge_bytes);
    finding.bytes_figure("lazy_bytes", line->lazy_bytes);
    if (problem) {
      finding.evidence.push_back(fmt::format("never less than {} in {} scans", human_bytes(least), scans));
      finding.bytes_figure("least_bytes", least);
      finding.count_figure("scans", scans);
    } else {
      finding.against.emplace_back("may be transient: the runtime may just have given them back");
    }
    const std::string unlazy =
        "GODEBUG=madvdontneed=1 gives memory back at once; RSS then says what is used.";
    finding.remedy = locked ? std::string(kLockedRemedy)
                     : lazy ? unlazy
                            : "If the program runs with GODEBUG=madvdontneed=0: " + unlazy;
    finding.confidence = locked || line->lazy_bytes * 2 >= bytes ? Confidence::kHigh
                         : lazy                                  ? Confidence::kMedium
                                                                 : Confidence::kLow;
    if (lazy && !locked)
      finding.against.emplace_back(
          "the kernel reclaims such pages first under memory pressure: RSS overstates");
    if (!lazy && !locked)
      finding.against.emplace_back("no MADV_FREE was seen; one from before memwhy attached looks the same");
    return finding;
  }
};

}  // namespace

const Rule& lazy_free_rule() {
  static const LazyFree kRule;
  return kRule;
}

}  // namespace memwhy::explain
