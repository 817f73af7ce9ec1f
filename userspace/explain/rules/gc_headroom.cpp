// SPDX-License-Identifier: Apache-2.0
// gc-headroom: objects allocated since the last collection, most of them dead by the next. With GOGC=100 a heap may grow to
// twice what is in use before it is collected; that is the collector's price, and no problem. It is one when the collector
// is off, or told to wait for much longer.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "explain/rules/causes.h"
#include "explain/rules/go_words.h"

namespace memwhy::explain {
namespace {

constexpr int32_t kUsualPercent = 100;
constexpr int32_t kPatientPercent = 200;  // more than that was somebody's choice to spend memory

class GcHeadroom : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    const uint64_t bytes = of(c.ledger.bytes, Owner::kGoHeapUnmarked),
                   threshold = problem_threshold(c.ledger);
    if (counters == nullptr || bytes < threshold) return std::nullopt;
    const int32_t percent = counters->gc_percent;
    const bool off = percent < 0,
               limited = counters->memory_limit_bytes != std::numeric_limits<int64_t>::max();
    const bool patient = off || percent > kPatientPercent;
    const bool problem = patient && !limited && least_of(c, Owner::kGoHeapUnmarked) >= threshold;

    Finding finding = go_finding(c, "gc-headroom", problem, {Owner::kGoHeapUnmarked});
    const uint64_t live = counters->live_bytes;
    finding.claim = fmt::format("Objects allocated since the last collection hold {} of {}'s memory: {}.",
                                bytes_and_share(bytes, c.ledger), c.process.comm,
                                off ? "the collector is off (GOGC=off)"
                                    : fmt::format("with GOGC={} the heap may grow to {} before the next",
                                                  percent, human_bytes(counters->goal_bytes)));
    finding.evidence.push_back(
        fmt::format("the last of {} collections found {} in use; GOGC={}, GOMEMLIMIT={}", counters->gc_cycles,
                    human_bytes(live), off ? "off" : std::to_string(percent),
                    limited ? human_bytes(static_cast<uint64_t>(counters->memory_limit_bytes)) : "none"));
    // What a collector with half of its patience, at most the usual one, would leave.
    const int32_t less = patient ? kUsualPercent : std::max(percent / 2, 1);
    const uint64_t left = live / 100 * static_cast<uint64_t>(less);
    if (bytes > left) finding.recoverable_bytes = bytes - left;
    const uint64_t limit = (c.ledger.rss.bytes - finding.recoverable_bytes.value_or(0)) >> 20;
    finding.remedy =
        problem || bytes > left
            ? fmt::format(
                  "GOGC={} lets the heap grow to about {}; or GOMEMLIMIT={}MiB bounds the whole program and "
                  "collects more often only near it. Either costs CPU.",
                  less, human_bytes(live + left), limit)
            : "None needed.";
    finding.confidence = problem ? Confidence::kMedium : Confidence::kHigh;
    if (!problem)
      finding.against.emplace_back(
          "every garbage-collected heap has such room; the next collection frees it");
    finding.against.emplace_back("some of it may be in use: only the next collection can tell");
    return finding;
  }
};

}  // namespace

const Rule& gc_headroom_rule() {
  static const GcHeadroom kRule;
  return kRule;
}

}  // namespace memwhy::explain
