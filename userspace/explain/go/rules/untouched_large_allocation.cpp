// SPDX-License-Identifier: Apache-2.0
// untouched-large-allocation: the reverse of most cases: Go counts (and a heap profile may show) far more than is resident,
// because a large object was made and never written to. It explains; for RSS there is nothing to do.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class UntouchedLargeAllocation : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    if (counters == nullptr) return std::nullopt;
    const uint64_t resident =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapFragmentation});
    const uint64_t in_use = counters->heap_in_use_bytes;
    if (in_use < resident + problem_threshold(c.ledger)) return std::nullopt;
    Finding finding = go_finding(c, "untouched-large-allocation", false,
                                 {Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapFragmentation});
    finding.bytes = resident;
    // An attribute of what is resident, unless it is more than all of that.
    finding.of_other_owners = in_use - resident <= c.ledger.rss.bytes;
    finding.headline = human_bytes(in_use - resident) + " of the Go heap are not resident";
    finding.claim = fmt::format("{} of {}'s Go heap are in use and not resident: {} counted, {} resident.",
                                human_bytes(in_use - resident), c.process.comm, human_bytes(in_use),
                                human_bytes(resident));
    finding.bytes_figure("not_resident_bytes", in_use - resident);
    finding.bytes_figure("heap_in_use_bytes", in_use);
    finding.bytes_figure("resident_bytes", resident);
    finding.evidence.emplace_back("the runtime's count of spans in use, against their resident pages");
    if (const auto profile = c.go->profile_bytes(); profile && *profile > c.ledger.rss.bytes) {
      finding.evidence.push_back(
          fmt::format("the heap profile shows {}, more than all of RSS", human_bytes(*profile)));
      finding.bytes_figure("heap_profile_bytes", *profile);
    }
    finding.remedy = "None needed: pages that were never written to take no memory.";
    finding.confidence = Confidence::kMedium;
    finding.against.emplace_back("pages that were swapped out look the same");
    return finding;
  }
};

}  // namespace

const Rule& untouched_large_allocation_rule() {
  static const UntouchedLargeAllocation kRule;
  return kRule;
}

}  // namespace memwhy::explain
