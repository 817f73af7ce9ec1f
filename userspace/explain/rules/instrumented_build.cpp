// SPDX-License-Identifier: Apache-2.0
// instrumented-build: programs built with AddressSanitizer, MemorySanitizer or ThreadSanitizer (C, C++; also Go's -asan and -msan),
// as if by mistake: the shadow is memory that the program would not have otherwise, and their malloc keeps what was freed. A
// problem if the shadow alone is large enough for one; else it explains. Go's -race is race-detector.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

struct Built {
  std::string_view tool, option;
};

// By where its shadow ends (allocators/sanitizer.h); nothing else distinguishes it from the others.
Built built_with(const Case& c) {
  const auto with = [&](uint64_t end) {
    return std::any_of(c.attribution.mappings.begin(), c.attribution.mappings.end(),
                       [end](const Mapping& mapping) { return mapping.vma.range.end == end; });
  };
  if (with(0x10007fff8000)) return {"AddressSanitizer", "-fsanitize=address"};
  if (with(0x510000000000)) return {"MemorySanitizer", "-fsanitize=memory"};
  if (with(0x340000000000)) return {"ThreadSanitizer", "-fsanitize=thread"};
  return {"a sanitizer", "-fsanitize"};
}

class InstrumentedBuild : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const LedgerLine* const shadow = line_of(c.ledger, "sanitizer.shadow");
    const LedgerLine* const heap = line_of(c.ledger, "sanitizer.heap");
    if (shadow == nullptr && heap == nullptr) return std::nullopt;
    const uint64_t shadow_bytes = shadow == nullptr ? 0 : shadow->bytes,
                   bytes = shadow_bytes + (heap == nullptr ? 0 : heap->bytes);
    const bool problem = shadow_bytes >= problem_threshold(c.ledger);
    if (!problem && bytes * 2 < c.ledger.rss.bytes) return std::nullopt;
    const Built built = built_with(c);

    Finding finding;
    finding.id = "instrumented-build";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    for (const LedgerLine* line : {shadow, heap})
      if (line != nullptr) finding.owners.push_back(line->owner);
    finding.recoverable_bytes = shadow_bytes;
    finding.confidence = Confidence::kHigh;
    finding.headline = fmt::format("{} are {}'s", bytes_and_share(bytes, c.ledger), built.tool);
    finding.claim = fmt::format("{} of {}'s memory are {}'s: the program was built with {}.",
                                bytes_and_share(bytes, c.ledger), c.process.comm, built.tool, built.option);
    finding.evidence.push_back(
        fmt::format("its shadow, at the addresses that the instrumented code has built in: {}",
                    human_bytes(shadow_bytes)));
    finding.bytes_figure("shadow_bytes", shadow_bytes);
    if (heap != nullptr) {
      finding.evidence.push_back(
          fmt::format("blocks of its malloc, with what surrounds each of them and those that were freed: {}",
                      human_bytes(heap->bytes)));
      finding.bytes_figure("heap_bytes", heap->bytes);
    }
    finding.remedy = fmt::format(
        "Rebuild without {} (in Go: without -asan or -msan) and roll out again: the shadow goes away, and so "
        "do freed blocks that are kept to find their uses.",
        built.option);
    finding.against.emplace_back("a build for tests is meant to be like this");
    return finding;
  }
};

}  // namespace

const Rule& instrumented_build_rule() {
  static const InstrumentedBuild kRule;
  return kRule;
}

}  // namespace memwhy::explain
