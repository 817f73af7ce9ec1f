// SPDX-License-Identifier: Apache-2.0
// metadata-after-peak: the runtime's tables (spans, bitmaps, page summaries) grow with the heap's peak and never shrink.
// Usually they are a few percent of the heap; if far more, they remain from a larger heap.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kUsualParts = 20;  // a twentieth of the heap is more than the tables of small objects take

class MetadataAfterPeak : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    if (counters == nullptr) return std::nullopt;
    // The line goes by mappings, and the kernel makes one of neighbours: the runtime counts its tables alone.
    const uint64_t bytes = std::min(of(c.ledger.bytes, Owner::kGoRuntimeMetadata), counters->metadata_bytes);
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;
    const uint64_t heap = counters->heap_in_use_bytes + counters->heap_free_bytes;
    const uint64_t usual = heap / kUsualParts;
    if (bytes < 2 * usual) return std::nullopt;
    Finding finding = go_finding(c, "metadata-after-peak", true, {Owner::kGoRuntimeMetadata});
    finding.bytes = bytes;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are Go runtime tables left from a larger heap";
    finding.claim = fmt::format(
        "The Go runtime's own tables hold {} of {}'s memory, for a heap of now {}: they are left "
        "from a larger one.",
        bytes_and_share(bytes, c.ledger), c.process.comm, human_bytes(heap));
    finding.bytes_figure("heap_bytes", heap);
    finding.bytes_figure("heap_in_use_bytes", counters->heap_in_use_bytes);
    finding.bytes_figure("heap_free_bytes", counters->heap_free_bytes);
    finding.bytes_figure("heap_released_bytes", counters->heap_released_bytes);
    finding.recoverable_bytes = bytes - usual;
    finding.evidence.push_back(fmt::format("the heap has {} in use, {} free, {} given back to the system",
                                           human_bytes(counters->heap_in_use_bytes),
                                           human_bytes(counters->heap_free_bytes),
                                           human_bytes(counters->heap_released_bytes)));
    finding.remedy =
        "Go never gives these tables back: keep the peak lower (GOMEMLIMIT, smaller batches), or restart "
        "after it.";
    const bool peak_seen = counters->heap_released_bytes >= heap;
    finding.confidence = peak_seen ? Confidence::kHigh : Confidence::kMedium;
    if (!peak_seen) finding.against.emplace_back("the tables themselves are the only sign of a larger heap");
    return finding;
  }
};

}  // namespace

const Rule& metadata_after_peak_rule() {
  static const MetadataAfterPeak kRule;
  return kRule;
}

}  // namespace memwhy::explain
