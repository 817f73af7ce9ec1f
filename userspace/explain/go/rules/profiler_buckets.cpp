// SPDX-License-Identifier: Apache-2.0
// profiler-buckets: the memory of the heap, block and mutex profiles themselves: one bucket for each stack and size that
// was ever sampled, never freed. A heap profile does not show it.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

class ProfilerBuckets : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    if (counters == nullptr) return std::nullopt;
    const uint64_t resident = of(c.ledger.bytes, Owner::kGoRuntimeProfiler);
    const uint64_t bytes = resident > 0 ? resident : std::min(counters->profiler_bytes, c.ledger.rss.bytes);
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;
    Finding finding = go_finding(c, "profiler-buckets", true, {Owner::kGoRuntimeProfiler});
    finding.bytes = bytes;
    finding.recoverable_bytes = bytes;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are buckets of Go's own profiles";
    finding.claim =
        fmt::format("The profiles of {} themselves hold {}: one bucket for every stack ever sampled.",
                    c.process.comm, bytes_and_share(bytes, c.ledger));
    finding.evidence.push_back(fmt::format("the runtime counts {} for buckets and their hash table",
                                           human_bytes(counters->profiler_bytes)));
    finding.bytes_figure("profiler_bytes", counters->profiler_bytes);
    if (const events::GoProfile* profile = c.go->profile();
        profile != nullptr && profile->source == events::GoProfile::Source::kBuckets) {
      finding.evidence.push_back(
          fmt::format("{} of them describe objects still in use, {}", profile->buckets.size(),
                      !profile->rate_known()  ? std::string("sampling rate unknown")
                      : profile->rate == 0    ? "heap sampling is off now"
                      : profile->rate_assumed ? "this release does not publish its sampling rate"
                                              : "one sample in " + human_bytes(profile->rate)));
      finding.count_figure("buckets", profile->buckets.size());
    }
    finding.remedy =
        "Sample less: a larger runtime.MemProfileRate, a block or mutex profile only while it is needed";
    finding.remedy += go_at_least(c, 23)
                          ? ", GODEBUG=profstackdepth=32 for fewer different stacks. Only a restart frees "
                            "what there is."
                          : ". Only a restart frees what there is.";
    finding.confidence = resident > 0 ? Confidence::kHigh : Confidence::kMedium;
    if (resident == 0) {
      finding.against.emplace_back(
          "counted by the runtime, not page by page: some of it may not be resident");
    }
    return finding;
  }
};

}  // namespace

const Rule& profiler_buckets_rule() {
  static const ProfilerBuckets kRule;
  return kRule;
}

}  // namespace memwhy::explain
