// SPDX-License-Identifier: Apache-2.0
// hugetlb: pages of hugetlbfs, or of MAP_HUGETLB, which the kernel counts apart from RSS. Not transparent huge pages, which are
// in RSS (huge-pages).
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class HugeTlb : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!c.process.counters) return std::nullopt;
    std::optional<Finding> finding =
        beside_rss(c, "hugetlb", "hugetlb_bytes", c.process.counters->hugetlb_bytes, "huge pages (hugetlb)",
                   "HugetlbPages");
    if (!finding) return std::nullopt;
    finding->remedy =
        "None needed if the program was told to use them: they come out of a pool for huge pages alone "
        "(vm.nr_hugepages).";
    return finding;
  }
};

}  // namespace

const Rule& hugetlb_rule() {
  static const HugeTlb kRule;
  return kRule;
}

}  // namespace memwhy::explain
