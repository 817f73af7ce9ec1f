// SPDX-License-Identifier: Apache-2.0
// huge-pages: transparent huge pages make memory resident that nobody touched or that was given back: a page of 2 MiB comes
// whole. Two places where that is known, not guessed:
//
//   stacks of threads     a stack is in use from its sp to its end; 8 KiB used of a huge page of 2 MiB
//   the Go heap           pages that Go gave back, and a huge page covers again
//
// Not the C heap, whose free memory is told with what malloc_trim returns of it (c-heap-free). The heavier of the two speaks.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/rules/huge_stacks.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

struct Waste {
  uint64_t bytes = 0;     // resident, in huge pages
  uint64_t returned = 0;  // of these: not in use
};

class HugePages : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const Waste stacks = of_stacks(c), heap = of_go_heap(c);
    const bool of_heap = heap.returned > stacks.returned;
    const Waste& waste = of_heap ? heap : stacks;
    if (waste.returned < problem_threshold(c.ledger)) return std::nullopt;
    return of_heap ? told_of_heap(c, waste) : told_of_stacks(c, waste);
  }

 private:
  static Waste of_stacks(const Case& c) {
    const HugeStacks stacks = huge_stacks(c);
    return {stacks.huge_bytes, stacks.unused_bytes};
  }

  static Waste of_go_heap(const Case& c) {
    const LedgerLine* line = line_of(c.ledger, Owner::kGoHeapReleasedResident);
    if (line == nullptr || line->huge_bytes * 2 < line->bytes) return {};
    return {line->huge_bytes, line->huge_bytes};
  }

  static Finding begun(const Case& c, const Waste& waste, bool problem) {
    Finding finding;
    finding.id = "huge-pages";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = waste.bytes;
    finding.recoverable_bytes = waste.returned;
    finding.bytes_figure("huge_bytes", waste.bytes);
    finding.confidence = Confidence::kHigh;
    finding.claim = fmt::format("Huge pages make {} of {}'s memory resident that ",
                                bytes_and_share(waste.returned, c.ledger), c.process.comm);
    return finding;
  }

  static Finding told_of_stacks(const Case& c, const Waste& waste) {
    Finding finding = begun(c, waste, true);
    const uint64_t stacks = of(c.ledger.mappings, Owner::kThreadStacks), used = huge_stacks(c).used_bytes;
    finding.owners = {Owner::kThreadStacks};
    finding.headline = bytes_and_share(waste.bytes, c.ledger) + " are huge pages under thread stacks";
    finding.claim += fmt::format("its thread stacks do not use: {} stacks use {} each on average.", stacks,
                                 human_bytes(stacks == 0 ? 0 : used / stacks));
    finding.count_figure("stacks", stacks);
    finding.bytes_figure("used_each_bytes", stacks == 0 ? 0 : used / stacks);
    finding.evidence.push_back(
        fmt::format("{} of the stacks are in huge pages of 2 MiB; threads use {} now, by "
                    "their stack pointers",
                    human_bytes(waste.bytes), human_bytes(used)));
    finding.bytes_figure("used_bytes", used);
    finding.remedy =
        "Give threads a stack size that is no multiple of 2 MiB (pthread_attr_setstacksize, ulimit -s), or "
        "glibc.pthread.stack_hugetlb=0 in GLIBC_TUNABLES, or set transparent huge pages to madvise.";
    finding.against.emplace_back("a thread may have used more of its stack before, and may again");
    return finding;
  }

  // In how many scans up to the last it was so much: what is so for a moment was given back, or taken again, while it was read.
  static uint64_t scans_with(const Case& c, uint64_t least) {
    const auto before = std::find_if_not(c.samples.rbegin(), c.samples.rend(), [&](const Sample& sample) {
      return of(sample.bytes, Owner::kGoHeapReleasedResident) >= least;
    });
    return static_cast<uint64_t>(before - c.samples.rbegin());
  }

  static Finding told_of_heap(const Case& c, const Waste& waste) {
    const uint64_t scans = scans_with(c, problem_threshold(c.ledger));
    Finding finding = begun(c, waste, scans >= 2 && scans * 2 >= c.samples.size());
    finding.owners = {Owner::kGoHeapReleasedResident};
    finding.headline = bytes_and_share(waste.bytes, c.ledger) +
                       " were given back by Go and are still resident in huge pages";
    finding.claim += "the Go runtime has given back: huge pages cover it.";
    finding.evidence.push_back(fmt::format("{} in huge pages, in {} scans", human_bytes(waste.bytes), scans));
    finding.count_figure("scans", scans);
    finding.remedy =
        "Set max_ptes_none of khugepaged to 0, or transparent huge pages to madvise: it fills holes that Go "
        "made.";
    if (finding.kind == FindingKind::kExplains)
      finding.against.emplace_back("may be transient: the runtime may just have given them back");
    return finding;
  }
};

}  // namespace

HugeStacks huge_stacks(const Case& c) {
  const LedgerLine* line = line_of(c.ledger, Owner::kThreadStacks);
  if (line == nullptr || c.process.list == nullptr) return {};
  HugeStacks out{line->huge_bytes, 0, 0};
  for (const events::Thread& thread : *c.process.list) {
    const auto after =
        std::upper_bound(c.attribution.mappings.begin(), c.attribution.mappings.end(), thread.stack_pointer,
                         [](uint64_t at, const Mapping& mapping) { return at < mapping.vma.range.end; });
    if (after != c.attribution.mappings.end() && after->vma.range.contains(thread.stack_pointer))
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
