// SPDX-License-Identifier: Apache-2.0
// swap: anonymous pages that the kernel has written to swap. They are not in RSS, but belong to the program, and
// come back when they are touched.
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class Swap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!c.process.counters) return std::nullopt;
    std::optional<Finding> finding =
        beside_rss(c, "swap", "swap_bytes", c.process.counters->swap_bytes, "swap", "VmSwap");
    if (!finding) return std::nullopt;
    finding->remedy =
        "None needed if these pages are not used; a program that waits for them needs more memory, or less "
        "of its own.";
    return finding;
  }
};

}  // namespace

const Rule& swap_rule() {
  static const Swap kRule;
  return kRule;
}

}  // namespace memwhy::explain
