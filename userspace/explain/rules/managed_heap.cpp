// SPDX-License-Identifier: Apache-2.0
// managed-heap: the heap of a JVM or of V8, where its mappings tell it from the rest of the process. What is in it is not read:
// its own tools are named for that. Growing is a problem once it was seen to grow for five minutes: until it collects, such a
// heap rises in any program, and one that is larger than it needs collects seldom. Its native memory is c-heap-growth's.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

struct Managed {
  Owner owner;
  std::string_view what, tools;
};
constexpr Managed kManaged[] = {
    {Owner::kJavaHeap, "Java heap",
     "jcmd PID GC.heap_info tells how much of it is in use, GC.class_histogram by which objects; -Xmx limits "
     "it"},
    {Owner::kJsHeap, "JavaScript heap (V8)",
     "node --heapsnapshot-signal=SIGUSR2 writes what is in it, process.memoryUsage() how much of it is in "
     "use; "
     "--max-old-space-size limits it"},
};

class ManagedHeapRule : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    for (const Managed& managed : kManaged) {
      const uint64_t bytes = of(c.ledger.bytes, managed.owner);
      if (bytes >= problem_threshold(c.ledger)) return told(c, managed, bytes);
    }
    return std::nullopt;
  }

 private:
  static Finding told(const Case& c, const Managed& managed, uint64_t bytes) {
    const Trend trend = trend_of(c.moments, {managed.owner});
    const bool problem = trend.lasting() && trend.shown_seconds >= lasting_seconds(c) &&
                         trend.grown_bytes >= problem_threshold(c.ledger);
    Finding finding;
    finding.id = "managed-heap";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.owners = {managed.owner};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = Confidence::kMedium;
    finding.headline = fmt::format("{} are the {}{}", bytes_and_share(bytes, c.ledger), managed.what,
                                   problem ? ", which keeps growing" : "");
    finding.claim = fmt::format("The {} of {} holds {}{}{}.", managed.what, c.process.comm,
                                bytes_and_share(bytes, c.ledger), growth_clause(trend),
                                problem ? " and keeps growing" : "");
    finding.evidence.emplace_back(
        managed.owner == Owner::kJavaHeap
            ? "by its place: a JVM maps its heap below 32 GiB, where nothing else is"
            : "by its shape: V8 maps its heap in pages of 256 KiB that are aligned to their size");
    if (problem) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    for (std::string& entry : heaviest_texts(c, managed.owner, 3))
      finding.evidence.push_back(std::move(entry));
    finding.remedy = fmt::format("Look inside: {}.", managed.tools);
    finding.against.emplace_back(
        "a heap keeps what it collected for new objects: how much of it is in use is not read");
    return finding;
  }
};

}  // namespace

const Rule& managed_heap_rule() {
  static const ManagedHeapRule kRule;
  return kRule;
}

}  // namespace memwhy::explain
