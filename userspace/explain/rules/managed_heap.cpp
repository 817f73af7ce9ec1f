// SPDX-License-Identifier: Apache-2.0
// managed-heap: the heap of a JVM or of V8, where its mappings distinguish it from the rest of the process, or the filled part
// of one that was read and rises. Which objects live is not read; the runtime's own tools are named for that. Growth is a
// problem after five minutes: between collections such a heap rises in any program, and one with much room collects seldom.
// Its native memory is c-heap-growth's.
#include <fmt/format.h>

#include <algorithm>

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

// Heaps whose filled part is a line of the ledger; how much of it lives, only a full collection shows.
struct ReadHeap {
  std::string_view allocator, line;
  const Managed& managed;
};
constexpr ReadHeap kRead[] = {{"hotspot", "java.heap.used", kManaged[0]},
                              {"v8", "v8.heap.used", kManaged[1]}};

class ManagedHeapRule : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    for (const ReadHeap& read : kRead)
      if (std::optional<Finding> found = rising(c, read)) return found;
    if (std::optional<Finding> found = unread(c)) return found;
    for (const Managed& managed : kManaged) {
      const uint64_t bytes = of(c.ledger.bytes, managed.owner);
      if (bytes >= problem_threshold(c.ledger)) return told(c, managed, bytes);
    }
    return std::nullopt;
  }

 private:
  // Silent but where it rises; before it is a problem, javascript-heap says the same of V8's.
  static std::optional<Finding> rising(const Case& c, const ReadHeap& read) {
    const LedgerLine* const line = line_of(c.ledger, read.line);
    const AllocatorFacts* const facts = allocator_facts(c, read.allocator);
    if (line == nullptr || facts == nullptr) return std::nullopt;
    const Trend trend = trend_of(c.moments, {line->owner});
    if (!trend.lasting() || trend.grown_bytes < problem_threshold(c.ledger)) return std::nullopt;
    const bool problem = trend.shown_seconds >= lasting_seconds(c);
    Finding finding;
    finding.id = "managed-heap";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = line->bytes;
    finding.owners = {line->owner};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = problem ? Confidence::kMedium : Confidence::kLow;
    const std::string filled =
        fmt::format("{} of the {} are filled", bytes_and_share(line->bytes, c.ledger), read.managed.what);
    finding.headline =
        filled + (problem ? ", and it keeps growing" : ", and it rises: a leak or garbage is not known yet");
    finding.claim = fmt::format("{} of the {} of {} are filled{}{}.", bytes_and_share(line->bytes, c.ledger),
                                read.managed.what, c.process.comm, growth_clause(trend),
                                problem ? ", and it keeps growing" : "");
    finding.evidence.push_back(grown_text(trend));
    finding.bytes_figure("grown_bytes", trend.grown_bytes);
    if (const auto collections = facts->collections_in(trend.shown_seconds)) {
      finding.evidence.push_back(collected_text(*collections));
      finding.count_figure("collections", *collections);
    }
    finding.remedy = fmt::format("Look inside: {}.", read.managed.tools);
    finding.against.push_back(
        problem
            ? std::string("a collection of all of it may still find garbage: what lives is not read")
            : fmt::format(
                  "garbage counts as filled until a collection finds it: whether it keeps growing is known "
                  "when it was seen to rise for {}",
                  human_seconds(lasting_seconds(c))));
    return finding;
  }

  // A Java heap of which only the place is known: the reason is in its reading.
  static std::optional<Finding> unread(const Case& c) {
    const LedgerLine* const line = line_of(c.ledger, "java.heap.unread");
    const AllocatorFacts* const facts = allocator_facts(c, kRead[0].allocator);
    if (line == nullptr || line->bytes < problem_threshold(c.ledger) || facts == nullptr ||
        facts->heap->problem.empty())
      return std::nullopt;
    const Trend trend = trend_of(c.samples, {line->owner});
    Finding finding;
    finding.id = "managed-heap";
    finding.bytes = line->bytes;
    finding.owners = {line->owner};
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.confidence = Confidence::kMedium;
    finding.headline = fmt::format("{} are the Java heap", bytes_and_share(line->bytes, c.ledger));
    finding.claim = fmt::format("{} of {} are the Java heap{}; the collector is {}.",
                                bytes_and_share(line->bytes, c.ledger), c.process.comm, growth_clause(trend),
                                facts->heap->collector.empty() ? "unknown" : facts->heap->collector);
    finding.evidence.push_back(facts->heap->problem);
    finding.remedy = fmt::format("Look inside: {}.", kManaged[0].tools);
    finding.against.emplace_back("how much of it is in use is not read");
    return finding;
  }

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
