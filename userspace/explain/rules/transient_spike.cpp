// SPDX-License-Identifier: Apache-2.0
// transient-spike: RSS was far higher than it is. The kernel keeps the exact maximum (VmHWM), the recording the time of its
// rise, and a scan near it the content. It explains: limits apply to the peak, and nothing of it is resident now.
//
//   VmHWM  402 MiB ─────────╮            first reading 10:12:01: 4 MiB
//   RSS      4 MiB ─────────┴──────      reading of 10:12:02: 402 MiB    → the peak was between the two
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr double kSame = 0.99;      // of the peak: it was reached
constexpr double kSeenShare = 0.5;  // of the peak: a scan with that much of it shows what it was

class TransientSpike : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t now = c.ledger.rss.bytes, peak = c.peaks.empty() ? 0 : c.peaks.back().value;
    if (peak < now + std::max(problem_threshold(c.ledger), now / 2)) return std::nullopt;
    Finding finding;
    finding.id = "transient-spike";
    finding.headline = fmt::format("it was {} at its peak", human_bytes(peak));
    finding.claim = fmt::format("RSS of {} is {} and was {} at its peak, {}.", c.process.comm,
                                human_bytes(now), human_bytes(peak), when(c, peak));
    finding.confidence = Confidence::kHigh;
    finding.bytes_figure("peak_bytes", peak);
    finding.evidence.push_back(
        fmt::format("VmHWM of /proc/PID/status, the kernel's own maximum, is {}", human_bytes(peak)));
    const std::string held = held_by(c, peak);
    finding.evidence.push_back(held.empty() ? "what it was is unknown: no scan was near the peak" : held);
    finding.remedy =
        "None needed if the limit leaves room for the peak: what a memory limit must allow is the peak, not "
        "what is resident now. A recording that is running when it comes again shows the code.";
    return finding;
  }

 private:
  // Where the kernel's maximum rose to what it is.
  static std::string when(const Case& c, uint64_t peak) {
    const auto reached = std::find_if(c.peaks.begin(), c.peaks.end(), [peak](const TrendPoint& at) {
      return static_cast<double>(at.value) >= kSame * static_cast<double>(peak);
    });
    if (reached == c.peaks.begin()) return "before the first reading";
    const double ago = static_cast<double>(c.peaks.back().time - reached->time) / 1e9;
    return fmt::format("during the recording, {} before its end", human_seconds(ago));
  }

  // Of the scan with most of it, the owner that has lost most since.
  static std::string held_by(const Case& c, uint64_t peak) {
    const auto highest =
        std::max_element(c.samples.begin(), c.samples.end(),
                         [](const Sample& a, const Sample& b) { return a.rss_bytes < b.rss_bytes; });
    if (highest == c.samples.end() ||
        static_cast<double>(highest->rss_bytes) < kSeenShare * static_cast<double>(peak))
      return "";
    size_t most = 0;
    uint64_t lost = 0;
    for (size_t i = 0; i < kOwnerCount; ++i) {
      const uint64_t then = highest->bytes[i], is = c.ledger.bytes[i];
      if (then > is && then - is > lost) lost = then - is, most = i;
    }
    if (lost == 0) return "";
    return fmt::format("a scan saw {}, of which {} are gone from {}", human_bytes(highest->rss_bytes),
                       human_bytes(lost), c.ledger.table->name(static_cast<Owner>(most)).id);
  }
};

}  // namespace

const Rule& transient_spike_rule() {
  static const TransientSpike kRule;
  return kRule;
}

}  // namespace memwhy::explain
