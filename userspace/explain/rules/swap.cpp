// SPDX-License-Identifier: Apache-2.0
// swap: anonymous pages that the kernel has written to swap. They are not in RSS, they are in what the program has, and they
// come back when they are touched.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class Swap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t beside = c.process.counters ? c.process.counters->swap_bytes : 0;
    if (beside < problem_threshold(c.ledger)) return std::nullopt;
    Finding finding;  // of no byte of RSS
    finding.id = "swap";
    finding.headline = human_bytes(beside) + " more are in swap, which RSS does not count";
    finding.claim = fmt::format("RSS is {}; {} more are in swap, which RSS does not count.",
                                human_bytes(c.ledger.rss.bytes), human_bytes(beside));
    finding.evidence.push_back(fmt::format("VmSwap of /proc/PID/status is {}", human_bytes(beside)));
    finding.bytes_figure("swap_bytes", beside);
    finding.remedy =
        "None needed if these pages are not used; a program that waits for them needs more memory, or less "
        "of its own.";
    finding.confidence = Confidence::kHigh;
    return finding;
  }
};

}  // namespace

const Rule& swap_rule() {
  static const Swap kRule;
  return kRule;
}

}  // namespace memwhy::explain
