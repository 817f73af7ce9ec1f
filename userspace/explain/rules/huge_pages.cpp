// SPDX-License-Identifier: Apache-2.0
// huge-pages: transparent huge pages under stacks of threads: a page of 2 MiB becomes resident as a whole when one byte of it is
// touched. A stack is in use from its sp to its end; 8 KiB used of a huge page of 2 MiB. Not the Go heap (huge-heap), and not
// the C heap, whose free memory is reported with what malloc_trim returns of it (c-heap-free).
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/rules/huge_stacks.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class HugePages : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const HugeStacks waste = huge_stacks(c);
    if (waste.unused_bytes < problem_threshold(c.ledger)) return std::nullopt;
    const uint64_t stacks = of(c.ledger.mappings, Owner::kThreadStacks);
    const uint64_t used_each = stacks == 0 ? 0 : waste.used_bytes / stacks;
    Finding finding;
    finding.id = "huge-pages";
    finding.kind = FindingKind::kProblem;
    finding.bytes = waste.huge_bytes;
    finding.owners = {Owner::kThreadStacks};
    finding.recoverable_bytes = waste.unused_bytes;
    finding.bytes_figure("huge_bytes", waste.huge_bytes);
    finding.confidence = Confidence::kHigh;
    finding.headline = bytes_and_share(waste.huge_bytes, c.ledger) + " are huge pages under thread stacks";
    finding.claim = fmt::format(
        "Huge pages make {} of {}'s memory resident that its thread stacks do not use: {} stacks use {} each "
        "on average.",
        bytes_and_share(waste.unused_bytes, c.ledger), c.process.comm, stacks, human_bytes(used_each));
    finding.count_figure("stacks", stacks);
    finding.bytes_figure("used_each_bytes", used_each);
    finding.evidence.push_back(
        fmt::format("{} of the stacks are in huge pages of 2 MiB; threads use {} now, by "
                    "their stack pointers",
                    human_bytes(waste.huge_bytes), human_bytes(waste.used_bytes)));
    finding.bytes_figure("used_bytes", waste.used_bytes);
    finding.remedy =
        "Give threads a stack size that is no multiple of 2 MiB (pthread_attr_setstacksize, ulimit -s), or "
        "glibc.pthread.stack_hugetlb=0 in GLIBC_TUNABLES, or set transparent huge pages to madvise.";
    finding.against.emplace_back("a thread may have used more of its stack before, and may again");
    return finding;
  }
};

}  // namespace

HugeStacks huge_stacks(const Case& c) {
  const LedgerLine* line = line_of(c.ledger, Owner::kThreadStacks);
  if (line == nullptr || c.process.list == nullptr) return {};
  // A thread may be elsewhere: the main one on [stack], one that came from C and runs Go in an arena of Go's.
  std::vector<bool> is_stack(c.attribution.mappings.size());
  for (const Cell& cell : c.attribution.cells)
    if (cell.owner == Owner::kThreadStacks && cell.mapping != kNoIndex) is_stack[cell.mapping] = true;
  HugeStacks out{line->huge_bytes, 0, 0};
  for (const events::Thread& thread : *c.process.list) {
    const auto after =
        std::upper_bound(c.attribution.mappings.begin(), c.attribution.mappings.end(), thread.stack_pointer,
                         [](uint64_t at, const Mapping& mapping) { return at < mapping.vma.range.end; });
    if (after != c.attribution.mappings.end() && after->vma.range.contains(thread.stack_pointer) &&
        is_stack[static_cast<size_t>(after - c.attribution.mappings.begin())])
      out.used_bytes += after->vma.range.end - (thread.stack_pointer & ~(kPageBytes - 1));
  }
  out.unused_bytes =
      line->bytes - std::min(line->bytes, std::max(out.used_bytes, line->bytes - line->huge_bytes));
  return out;
}

const Rule& huge_pages_rule() {
  static const HugePages kRule;
  return kRule;
}

}  // namespace memwhy::explain
