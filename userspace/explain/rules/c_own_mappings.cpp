// SPDX-License-Identifier: Apache-2.0
// own-mappings of a program that is not Go's: memory that it, or a library, mapped by itself (mmap): an arena, a cache, a table, the
// heap of an allocator of its own. malloc's tables were read, and have none of it: no statistic of malloc counts it.
// Where memwhy saw a page fault or the mapping, the code is known; otherwise the mappings are.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/allocator_words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr size_t kNamed = 3;

class COwnMappings : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!maps_outside_malloc(c)) return std::nullopt;
    const uint64_t bytes = c.ledger.total({Owner::kAnonOther, Owner::kAnonMapped});
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;
    Finding finding;
    finding.id = "own-mappings";
    finding.bytes = bytes;
    finding.owners = {Owner::kAnonOther, Owner::kAnonMapped};
    finding.growth_bytes_per_s = trend_of(c.samples, {Owner::kAnonOther, Owner::kAnonMapped}).bytes_per_s;
    const uint64_t huge = most_of(c, &LedgerLine::huge_bytes), lazy = most_of(c, &LedgerLine::lazy_bytes);
    std::string state;
    if (huge != 0) state += fmt::format(", {} of it in huge pages", human_bytes(huge));
    if (lazy != 0)
      state +=
          fmt::format(", {} of it given back lazily (MADV_FREE): the kernel takes it when memory is short",
                      human_bytes(lazy));
    finding.headline = bytes_and_share(bytes, c.ledger) +
                       " were mapped by the program or a library itself, outside of malloc" + state;
    finding.claim = fmt::format(
        "{} of {}'s memory were mapped by the program or a library itself, outside of malloc{}{}.",
        bytes_and_share(bytes, c.ledger), c.process.comm, by_whom(c), state);
    add_evidence(c, huge, finding);
    if (lazy != 0) finding.bytes_figure("lazy_bytes", lazy);
    finding.remedy =
        "None needed if it is meant to be so large: no statistic of malloc shows it. Look for the size of an "
        "arena, a pool or a cache.";
    finding.confidence = Confidence::kMedium;
    return finding;
  }

 private:
  // ", 320.0 MiB of it by arena_init (arena.c:12)"
  static std::string by_whom(const Case& c) {
    const std::string most = touched_most(c, Owner::kAnonOther);
    return most.empty() || of(c.ledger.bytes, Owner::kAnonMapped) > of(c.ledger.bytes, Owner::kAnonOther)
               ? ""
               : ", " + most;
  }

  // 0: less than half.
  static uint64_t most_of(const Case& c, uint64_t LedgerLine::*part) {
    uint64_t parts = 0, all = 0;
    for (const Owner owner : {Owner::kAnonOther, Owner::kAnonMapped})
      if (const LedgerLine* line = line_of(c.ledger, owner)) {
        parts += line->*part;
        all += line->bytes;
      }
    return parts * 2 < all ? 0 : parts;
  }

  static void add_evidence(const Case& c, uint64_t huge, Finding& finding) {
    for (const Owner owner : {Owner::kAnonMapped, Owner::kAnonOther})
      if (of(c.ledger.bytes, owner) * 4 >= finding.bytes)
        for (std::string& entry : heaviest_texts(c, owner, kNamed))
          finding.evidence.push_back(std::move(entry));
    finding.evidence.emplace_back("malloc's own tables were read, and have none of these mappings");
    if (huge != 0) {
      finding.evidence.emplace_back(kHugeIsWhole);
      finding.bytes_figure("huge_bytes", huge);
    }
    if (of(c.ledger.bytes, Owner::kAnonMapped) * 2 > finding.bytes)
      finding.against.emplace_back(kTouchedBefore);
  }
};

}  // namespace

bool maps_outside_malloc(const Case& c) {
  const bool read = largest_c_heap(c.allocators, [](const AllocatorFacts&) { return 1; }) != nullptr;
  return c.go == nullptr && !c.process.go && read && !instrumented_build_rule().judge(c);
}

const Rule& c_own_mappings_rule() {
  static const COwnMappings kRule;
  return kRule;
}

}  // namespace memwhy::explain
