// SPDX-License-Identifier: Apache-2.0
// java-heap-committed: resident Java heap that holds no object. Collections empty it and most collectors keep it: it explains,
// and is no problem, since the next objects go there. What a collection would return depends on garbage that is not measured,
// so nothing is promised. Not the filled heap: that is java.heap.used, garbage included.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

struct Remedy {
  std::string_view collector, sentence;
};
constexpr std::array<Remedy, 5> kRemedies = {{
    {"G1",
     "A full collection (jcmd PID GC.run) returns what is beyond -XX:MaxHeapFreeRatio, 70 % unless set; "
     "-XX:G1PeriodicGCInterval=60000 makes one a minute while the program is idle, and with "
     "-XX:-G1PeriodicGCInvokesConcurrent a full one."},
    {"Serial",
     "A full collection (jcmd PID GC.run) returns what of the old generation is beyond "
     "-XX:MaxHeapFreeRatio, 70 % unless set; the young one stays as large as it is: -Xmn makes it smaller."},
    {"Parallel",
     "This collector gives back little of it: a smaller -Xmx, or -XX:+UseG1GC with "
     "-XX:G1PeriodicGCInterval."},
    {"Shenandoah",
     "It gives it back by itself when regions were empty for -XX:ShenandoahUncommitDelay, 5 min unless set, "
     "down to -Xms."},
    {"Epsilon", "This collector never collects."},
}};

class JavaHeapCommitted : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const AllocatorFacts* const facts = allocator_facts(c, "hotspot");
    const LedgerLine* const free = line_of(c.ledger, "java.heap.free");
    if (facts == nullptr || free == nullptr || free->bytes < problem_threshold(c.ledger)) return std::nullopt;
    const events::AllocatorHeap& heap = *facts->heap;

    Finding finding;
    finding.id = "java-heap-committed";
    finding.bytes = free->bytes;
    finding.owners = {free->owner};
    finding.growth_bytes_per_s = trend_of(c.samples, {free->owner}).bytes_per_s;
    finding.confidence = heap.problem.empty() ? Confidence::kHigh : Confidence::kMedium;
    finding.headline =
        fmt::format("{} are Java heap that holds no object", bytes_and_share(free->bytes, c.ledger));
    finding.claim =
        fmt::format("{} of {}'s Java heap hold no object and are resident; {} are filled.",
                    bytes_and_share(free->bytes, c.ledger), c.process.comm, human_bytes(heap.used_bytes));
    finding.bytes_figure("free_bytes", free->bytes);
    finding.bytes_figure("used_bytes", heap.used_bytes);
    finding.evidence.push_back(fmt::format(
        "the collector is {}, and has collected {} times{}", heap.collector, heap.collections,
        heap.collection_interval_ms == 0
            ? ""
            : fmt::format(", at least every {} ms (-XX:G1PeriodicGCInterval)", heap.collection_interval_ms)));
    finding.count_figure("collections", heap.collections);
    if (heap.pretouched)
      finding.evidence.emplace_back(
          "the JVM was started with -XX:+AlwaysPreTouch: all of -Xms is made resident");
    finding.remedy = heap.pretouched ? "Start it without -XX:+AlwaysPreTouch, or with a smaller -Xms. " : "";
    const auto* const remedy = std::find_if(kRemedies.begin(), kRemedies.end(), [&](const Remedy& each) {
      return each.collector == heap.collector;
    });
    if (remedy != kRemedies.end()) finding.remedy += remedy->sentence;
    finding.remedy += " -Xmx bounds the heap.";
    if (!heap.problem.empty())
      finding.against.push_back(fmt::format("not everything was read: {}", heap.problem));
    finding.against.emplace_back("a program that soon makes as many objects again needs the memory");
    return finding;
  }
};

}  // namespace

const Rule& java_heap_committed_rule() {
  static const JavaHeapCommitted kRule;
  return kRule;
}

}  // namespace memwhy::explain
