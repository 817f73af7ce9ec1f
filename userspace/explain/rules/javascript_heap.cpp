// SPDX-License-Identifier: Apache-2.0
// javascript-heap: V8's heap where it is most of the memory, by what its pages are for. It explains; whether it is too much
// depends on the objects, which are not read, and growth is judged for all owners together (rss_growth.h).
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kLeastSaid = uint64_t{1} << 20;  // less than that has no sentence

class JavascriptHeap : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts = allocator_facts(c, "v8");
    const LedgerLine* const used = line_of(c.ledger, "v8.heap.used");
    if (facts == nullptr || used == nullptr) return std::nullopt;
    const uint64_t free = bytes_of(c, "v8.heap.free"), young = bytes_of(c, "v8.heap.young"),
                   code = bytes_of(c, "v8.code"), all = used->bytes + free + young + code;
    const uint64_t outside = of(c.ledger.bytes, Owner::kCHeapUsed);
    if (c.largest_family == "c.heap" && outside > all && outside >= problem_threshold(c.ledger))
      return beside(c, outside, all);
    if (c.largest_family != "v8" || all < problem_threshold(c.ledger)) return std::nullopt;

    Finding finding;
    finding.id = "javascript-heap";
    finding.bytes = all;
    for (const std::string_view id : {"v8.heap.used", "v8.heap.free", "v8.heap.young", "v8.code"})
      if (const LedgerLine* const line = line_of(c.ledger, id)) finding.owners.push_back(line->owner);
    const Trend trend = trend_of(c.moments, {used->owner});
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = facts->heap->problem.empty() ? Confidence::kHigh : Confidence::kMedium;
    const bool rises = trend.lasting() && trend.grown_bytes >= problem_threshold(c.ledger);
    finding.headline = fmt::format("{} are the heap of V8{}", bytes_and_share(all, c.ledger),
                                   rises ? ", and it rises: a leak or garbage is not known yet" : "");
    finding.claim = fmt::format("{} of {} are the heap of V8; {} hold objects that survived a collection{}.",
                                bytes_and_share(all, c.ledger), c.process.comm, human_bytes(used->bytes),
                                growth_clause(trend));
    if (rises) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    say(finding, "used_bytes", used->bytes, "");
    say(finding, "young_bytes", young,
        "are young objects and the room to copy them to, at most three times --max-semi-space-size");
    say(finding, "free_bytes", free, "are room between objects");
    say(finding, "code_bytes", code, "are compiled code");
    if (facts->heap->arenas > 1) {
      finding.evidence.push_back(
          fmt::format("there are {} heaps: the main thread's and those of workers", facts->heap->arenas));
      finding.count_figure("heaps", facts->heap->arenas);
    }
    finding.remedy =
        "None needed if that is what the program keeps. A heap snapshot (node --heapsnapshot-signal=SIGUSR2) "
        "names what keeps it; --max-old-space-size bounds it.";
    if (!facts->heap->problem.empty())
      finding.against.push_back(fmt::format("not everything was read: {}", facts->heap->problem));
    finding.against.emplace_back("what is in use may be garbage until the next collection");
    return finding;
  }

 private:
  // What Node keeps for Buffers is malloc's: no setting of V8 bounds it.
  static Finding beside(const Case& c, uint64_t outside, uint64_t all) {
    Finding finding;
    finding.id = "javascript-heap";
    finding.bytes = outside;
    finding.owners = {Owner::kCHeapUsed};
    finding.growth_bytes_per_s = trend_of(c.samples, {Owner::kCHeapUsed}).bytes_per_s;
    finding.confidence = Confidence::kMedium;
    finding.headline = fmt::format("{} are in use outside of V8's heap", bytes_and_share(outside, c.ledger));
    finding.claim = fmt::format("{} of {} are in use outside of V8's heap, by malloc; that heap has {}.",
                                bytes_and_share(outside, c.ledger), c.process.comm, human_bytes(all));
    finding.bytes_figure("heap_bytes", all);
    finding.evidence.emplace_back("Node.js has what Buffers and ArrayBuffers hold from malloc");
    finding.remedy =
        "None needed if that is what the program keeps. process.memoryUsage().arrayBuffers is how much of it "
        "Buffers hold; --max-old-space-size does not bound it.";
    finding.against.emplace_back("native modules use malloc too");
    return finding;
  }
  static uint64_t bytes_of(const Case& c, std::string_view id) {
    const LedgerLine* const line = line_of(c.ledger, id);
    return line == nullptr ? 0 : line->bytes;
  }
  static void say(Finding& finding, std::string_view figure, uint64_t bytes, std::string_view sentence) {
    finding.bytes_figure(figure, bytes);
    if (!sentence.empty() && bytes >= kLeastSaid)
      finding.evidence.push_back(fmt::format("{} {}", human_bytes(bytes), sentence));
    else if (!sentence.empty())
      finding.figures.pop_back();
  }
};

}  // namespace

const Rule& javascript_heap_rule() {
  static const JavascriptHeap kRule;
  return kRule;
}

}  // namespace memwhy::explain
