// SPDX-License-Identifier: Apache-2.0
// hugetlb: pages of hugetlbfs, or of MAP_HUGETLB, which the kernel counts apart from RSS. Not transparent huge pages, which are
// in RSS (huge-pages).
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class HugeTlb : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t beside = c.process.counters ? c.process.counters->hugetlb_bytes : 0;
    if (beside < problem_threshold(c.ledger)) return std::nullopt;
    Finding finding;  // of no byte of RSS
    finding.id = "hugetlb";
    finding.headline = human_bytes(beside) + " more are in huge pages (hugetlb), which RSS does not count";
    finding.claim = fmt::format("RSS is {}; {} more are in huge pages (hugetlb), which RSS does not count.",
                                human_bytes(c.ledger.rss.bytes), human_bytes(beside));
    finding.evidence.push_back(fmt::format("HugetlbPages of /proc/PID/status is {}", human_bytes(beside)));
    finding.bytes_figure("hugetlb_bytes", beside);
    finding.remedy =
        "None needed if the program was told to use them: they come out of a pool for huge pages alone "
        "(vm.nr_hugepages).";
    finding.confidence = Confidence::kHigh;
    return finding;
  }
};

}  // namespace

const Rule& hugetlb_rule() {
  static const HugeTlb kRule;
  return kRule;
}

}  // namespace memwhy::explain
