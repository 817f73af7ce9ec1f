// SPDX-License-Identifier: Apache-2.0
// race-detector-leak: a race build whose detector keeps growing. Two causes are known, and distinguished by the code that touches
// the new memory, else by the shape of the mappings that hold most of it:
//
//   recovered panics    each frame that a panic unwinds stays on TSan's call stack of its goroutine: 8 bytes, for as long
//                       as that goroutine lives; one block of 2^n + 4 KiB that doubles
//   goroutine churn     each goroutine that ends leaves some 300 bytes of its thread context: blocks of 1 MiB
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/rules/race_memory.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

// With a cause that the stacks or the shapes name, a rise is a leak before it has lasted as long as others must.
constexpr double kNamedSeconds = 10;

enum class Cause : uint8_t { kUnknown, kPanics, kChurn };

struct Told {
  Cause cause = Cause::kUnknown;
  uint64_t bytes = 0;  // that speak for it
  bool by_stack = false;
};

bool any_function(const std::vector<Frame>& frames, std::initializer_list<std::string_view> names) {
  for (const Frame& frame : frames)
    for (const std::string_view name : names)
      if (frame.function.find(name) != std::string::npos) return true;
  return false;
}

Told cause_of(const Case& c, const RaceMemory& race) {
  uint64_t panics = 0, churn = 0;
  for (const Cell& cell : c.attribution.cells) {
    if (cell.owner != Owner::kRaceInternal || cell.stack == kNoIndex) continue;
    const std::vector<Frame> frames = c.attribution.frames_of(cell.stack);
    if (any_function(frames, {"__tsan_func_enter", "racefuncenter"}))
      panics += cell.bytes();
    else if (any_function(
                 frames, {"__tsan_go_start", "racegostart", "ThreadCreate", "CreateThread", "ThreadContext"}))
      churn += cell.bytes();
  }
  if (panics + churn > 0 && panics != churn)
    return {panics > churn ? Cause::kPanics : Cause::kChurn, std::max(panics, churn), true};
  const uint64_t doubled = race.doubled_bytes, blocks = race.block_bytes;
  if (doubled == blocks) return {};
  return {doubled > blocks ? Cause::kPanics : Cause::kChurn, std::max(doubled, blocks), false};
}

class RaceDetectorLeak : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!c.process.race_build) return std::nullopt;
    const uint64_t bytes = of(c.ledger.bytes, Owner::kRaceInternal), threshold = problem_threshold(c.ledger);
    const Trend trend = trend_of(c.moments, {Owner::kRaceInternal});
    if (bytes < threshold || !trend.rising || trend.grown_bytes < threshold) return std::nullopt;
    const RaceMemory race = race_memory(c.attribution);
    const Told told = cause_of(c, race);
    if (trend.shown_seconds < (told.cause == Cause::kUnknown ? kLastingSeconds : kNamedSeconds))
      return std::nullopt;
    Finding finding = go_finding(c, "race-detector-leak", true, {Owner::kRaceInternal});
    finding.recoverable_bytes = bytes;
    finding.headline = bytes_and_share(bytes, c.ledger) + " are the race detector's own and growing";
    finding.claim = fmt::format("The race detector of {} leaks{}: {}.", c.process.comm, growth_clause(trend),
                                cause_text(told.cause));
    finding.confidence = told.by_stack ? Confidence::kMedium : Confidence::kLow;
    finding.evidence.push_back("its own memory " + grown_text(trend));
    finding.bytes_figure("grown_bytes", trend.grown_bytes);
    if (told.cause != Cause::kUnknown) finding.bytes_figure("cause_bytes", told.bytes);
    if (told.by_stack) {
      finding.evidence.push_back(fmt::format("{} were touched by stacks of {}", human_bytes(told.bytes),
                                             told.cause == Cause::kPanics
                                                 ? "function entries (__tsan_func_enter)"
                                                 : "new goroutines (their ThreadContext)"));
      if (told.cause == Cause::kPanics && race.doubled_bytes * 2 >= bytes) {
        finding.evidence.push_back(fmt::format("{} lie in blocks of 2^n + 4 KiB: call stacks that double",
                                               human_bytes(race.doubled_bytes)));
        finding.bytes_figure("doubled_bytes", race.doubled_bytes);
      }
    } else if (told.cause != Cause::kUnknown) {
      finding.evidence.push_back(fmt::format("{} lie in {}", human_bytes(told.bytes),
                                             told.cause == Cause::kPanics
                                                 ? "blocks of 2^n + 4 KiB: call stacks that double"
                                                 : "blocks of 1 MiB: contexts of goroutines that ended"));
      finding.against.emplace_back(
          "no stack of the growth names the cause: judged by the shape of the mappings");
    }
    finding.remedy = "Do not run -race builds in production; rebuild without it.";
    if (told.cause == Cause::kPanics)
      finding.remedy += " Else recover in a goroutine that ends: what it leaked goes with it.";
    if (told.cause == Cause::kChurn)
      finding.remedy += " Else keep workers rather than start a goroutine for each task.";
    return finding;
  }

 private:
  static std::string_view cause_text(Cause cause) {
    switch (cause) {
      case Cause::kPanics:
        return "a long-lived goroutine recovers panics, and every frame they unwind stays recorded";
      case Cause::kChurn:
        return "goroutines start and end, and some memory of each remains";
      case Cause::kUnknown:
        break;
    }
    return "either recovered panics or short-lived goroutines; which is unknown";
  }
};

}  // namespace

const Rule& race_detector_leak_rule() {
  static const RaceDetectorLeak kRule;
  return kRule;
}

}  // namespace memwhy::explain
