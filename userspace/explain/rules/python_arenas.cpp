// SPDX-License-Identifier: Apache-2.0
// python-arenas: memory that CPython keeps for small objects. An arena is returned only when nothing in it is in use, so a
// few remaining objects keep all that a burst took. No call returns it, so nothing is promised.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class PythonArenas : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts = allocator_facts(c, "pymalloc");
    const LedgerLine* const free = line_of(c.ledger, "python.free");
    if (facts == nullptr || free == nullptr || free->bytes < problem_threshold(c.ledger)) return std::nullopt;
    const events::AllocatorHeap& heap = *facts->heap;
    const uint64_t all = free->bytes + heap.used_bytes;

    Finding finding;
    finding.id = "python-arenas";
    finding.bytes = free->bytes;
    finding.owners = {free->owner};
    finding.growth_bytes_per_s = trend_of(c.samples, {free->owner}).bytes_per_s;
    finding.recoverable_bytes = 0;
    finding.confidence = heap.problem.empty() ? Confidence::kHigh : Confidence::kMedium;
    finding.headline = fmt::format("{} are free blocks in {} arenas of CPython, each kept by objects in use",
                                   bytes_and_share(free->bytes, c.ledger), heap.arenas);
    finding.claim = fmt::format(
        "{} are {} arenas of CPython with small objects; {} of that are in use, {} are free.",
        human_bytes(all), heap.arenas, human_bytes(heap.used_bytes), bytes_and_share(free->bytes, c.ledger));
    finding.bytes_figure("arena_bytes", all);
    finding.count_figure("arenas", heap.arenas);
    finding.bytes_figure("used_bytes", heap.used_bytes);
    finding.bytes_figure("free_bytes", free->bytes);
    finding.evidence.push_back(fmt::format(
        "an arena goes back to the system only when nothing in it is in use: on average {} of each "
        "are in use",
        human_bytes(heap.used_bytes / std::max<uint64_t>(heap.arenas, 1))));
    finding.remedy =
        "No call returns this memory; CPython uses it again for objects of up to 512 bytes. Do work that "
        "makes many short-lived objects in a process of its own that ends, or make what is kept before it or "
        "after it, so that the objects that stay share few arenas.";
    if (!heap.problem.empty())
      finding.against.push_back(fmt::format("not everything was read: {}", heap.problem));
    if (heap.unknown_bytes > 0)
      finding.against.push_back(
          fmt::format("{} of pools could not be read, and count as in use", human_bytes(heap.unknown_bytes)));
    finding.against.emplace_back("a program that soon makes as many objects again needs the memory");
    return finding;
  }
};

}  // namespace

const Rule& python_arenas_rule() {
  static const PythonArenas kRule;
  return kRule;
}

}  // namespace memwhy::explain
