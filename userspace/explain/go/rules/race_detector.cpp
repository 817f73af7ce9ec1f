// SPDX-License-Identifier: Apache-2.0
// race-detector: a Go program that was built with -race. TSan keeps two bytes of shadow for each byte of heap
// that the program ever used and never gives it back, and its own traces, clocks and tables beside it; a heap
// profile shows none of that. The remedy is certain, so are the bytes: they exist only because of the flag.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/go/rules/race_memory.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class RaceDetector : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!c.process.race_build || !c.process.go) return std::nullopt;
    uint64_t bytes = c.ledger.total({Owner::kRaceShadow, Owner::kRaceMeta, Owner::kRaceInternal});
    bool problem = bytes >= problem_threshold(c.ledger);
    if (bytes == 0 || (!problem && c.largest_family != "race")) return std::nullopt;
    const RaceMemory race = race_memory(c.attribution);
    Trend trend = trend_of(c.moments, {Owner::kRaceShadow, Owner::kRaceMeta, Owner::kRaceInternal});

    Finding finding;
    finding.id = "race-detector";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.growth_bytes_per_s = trend.bytes_per_s;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are the race detector (built with -race)";
    finding.claim =
        fmt::format("The race detector holds {} of {}'s memory{}: the program was built with -race.",
                    bytes_and_share(bytes, c.ledger), c.process.comm, growth_clause(trend));
    finding.recoverable_bytes = bytes;
    finding.remedy = fmt::format(
        "Rebuild without -race and roll out again; at least these {} go away (-race also makes the heap, the "
        "stacks and the code larger, which is not counted).",
        human_bytes(bytes));
    finding.confidence = Confidence::kHigh;
    finding.evidence.push_back(
        fmt::format("build info of the executable says -race=true, {}", c.process.go->version));
    add_shadow(c, race, finding);
    uint64_t internal = of(c.ledger.bytes, Owner::kRaceInternal);
    if (internal > 0) {
      finding.evidence.push_back(
          fmt::format("traces, clocks, call stacks and globals of the detector: {}", human_bytes(internal)));
      finding.bytes_figure("internal_bytes", internal);
    }
    if (uint64_t rest = c.ledger.rss.bytes - bytes; rest > 0) {
      const double ratio = static_cast<double>(bytes) / static_cast<double>(rest);
      finding.evidence.push_back(
          fmt::format("{:.1f} bytes of race detector for every byte of everything else", ratio));
      finding.figure("bytes_per_other_byte", FigureUnit::kRatio, ratio);
    }
    if (c.go != nullptr) {
      if (const std::optional<uint64_t> profile = c.go->profile_bytes()) {
        finding.evidence.push_back(
            fmt::format("the heap profile shows {} in use{} and none of this", human_bytes(*profile),
                        c.go->profile_source() == ProfileSource::kBuckets && c.go->profile()->rate_assumed
                            ? " (by an assumed sampling rate)"
                            : ""));
        finding.bytes_figure("heap_profile_bytes", *profile);
      }
    }
    if (trend.rising) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
    }
    if (race.by_shape_bytes > 0) {
      finding.against.push_back(fmt::format(
          "{} of it were resident before memwhy attached and are attributed to the detector by the "
          "shape of their mappings",
          human_bytes(race.by_shape_bytes)));
      finding.bytes_figure("by_shape_bytes", race.by_shape_bytes);
      // The flag is certain; what the shape speaks for must not be what makes it a problem.
      if (problem && bytes - race.by_shape_bytes < problem_threshold(c.ledger)) {
        finding.confidence = Confidence::kMedium;
      }
    }
    if (!problem) finding.against.push_back("too little memory to act on");
    return finding;
  }

 private:
  static void add_shadow(const Case& c, const RaceMemory& race, Finding& finding) {
    uint64_t shadow = of(c.ledger.bytes, Owner::kRaceShadow);
    if (shadow == 0) return;
    finding.evidence.push_back(
        fmt::format("shadow memory at {:#x}-{:#x}, TSan's fixed range: {} resident, 2 bytes for each byte of "
                    "heap ever used",
                    race.shadow.start, race.shadow.end, human_bytes(shadow)));
    finding.bytes_figure("shadow_bytes", shadow);
  }
};

}  // namespace

const Rule& race_detector_rule() {
  static const RaceDetector kRule;
  return kRule;
}

}  // namespace memwhy::explain
