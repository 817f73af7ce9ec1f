// SPDX-License-Identifier: Apache-2.0
// finalizer-queue: one goroutine runs all finalizers (Go 1.25 and later: a few of them all cleanups). While it waits in one of
// them, objects that a collection found dead queue behind it, and are kept with all that they refer to. No heap profile shows
// this: it has the place of their allocation, not that they are no longer needed.
//
//   runtime.runfinq → main.(*handle).close, chan receive since 12:03:11     980 objects wait, and keep 493 MiB
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/groups.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kBlockedLong = 5'000'000'000;

struct Blocked {
  const events::GoGroup* group = nullptr;
  TimeNs read_at = 0;
  Frame site;  // in the finalizer, the program's own function if there is one
  bool cleanup = false;
  bool long_enough() const { return waited(*group, read_at, kBlockedLong); }
};

// Waiting inside of a finalizer or cleanup: between where it waits and the runtime's loop is code of others.
std::optional<Blocked> blocked_in(const GroupStory& story) {
  if (story.now->wait_reason.empty()) return std::nullopt;
  const auto loop = std::find_if(story.frames.begin(), story.frames.end(), [](const Frame& frame) {
    return frame.function == "runtime.runfinq" || frame.function == "runtime.runFinalizers" ||
           frame.function == "runtime.runCleanups";
  });
  if (loop == story.frames.end()) return std::nullopt;
  Blocked out{story.now, story.read_at, {}, loop->function == "runtime.runCleanups"};
  for (auto frame = story.frames.begin(); frame != loop; ++frame) {
    if (frame->kind == FrameKind::kRuntime || frame->kind == FrameKind::kAllocator) continue;
    if (!out.site.known()) out.site = *frame;
    if (frame->kind != FrameKind::kProgram) continue;
    out.site = *frame;
    break;
  }
  if (!out.site.known()) return std::nullopt;
  return out;
}

class FinalizerQueue : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.go == nullptr || c.go->goroutines().empty()) return std::nullopt;
    std::optional<Blocked> blocked;
    for (const GroupStory& story : group_stories(*c.go))
      if (!blocked) blocked = blocked_in(story);
    if (!blocked) return std::nullopt;
    const events::GoGoroutines& last = *c.go->goroutines().back().all;
    return told(c, *blocked, blocked->cleanup ? std::nullopt : last.finalizers, last.complete);
  }

 private:
  static std::optional<Finding> told(const Case& c, const Blocked& blocked,
                                     const std::optional<events::GoFinalizers>& queue, bool complete) {
    const uint64_t heap =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapUnclassified});
    const uint64_t kept = queue ? std::min(queue->kept_bytes, heap) : 0;
    const bool large = kept >= problem_threshold(c.ledger);
    // A slow finalizer that happens to wait at the reading is no finding.
    if (!large && !blocked.long_enough()) return std::nullopt;
    Finding finding = go_finding(c, "finalizer-queue", large && blocked.long_enough(), {Owner::kGoHeapLive});
    finding.bytes = kept;
    finding.growth_bytes_per_s.reset();  // of the heap, not of the queue
    const std::string what = blocked.cleanup ? "cleanup" : "finalizer";
    const std::string since =
        blocked.group->oldest_wait_ns == 0 ? "" : c.go->clock(blocked.group->oldest_wait_ns);
    finding.claim =
        fmt::format("The goroutine that runs {}s waits in {}{}", what,
                    text_of(blocked.site, FrameText::kNoPath), since.empty() ? "" : " since " + since);
    if (queue) {
      finding.claim += fmt::format(": {} objects wait behind it and keep {}.", queue->waiting,
                                   bytes_and_share(kept, c.ledger));
      finding.headline = fmt::format("{} are kept by {} objects that wait for a blocked {}",
                                     bytes_and_share(kept, c.ledger), queue->waiting, what);
      finding.count_figure("waiting", queue->waiting);
      finding.evidence.push_back(
          fmt::format("{} objects, {} virtual, hang from the queue and from nothing else",
                      queue->kept_objects, human_bytes(queue->kept_bytes)));
      finding.bytes_figure("kept_bytes", queue->kept_bytes);
      finding.count_figure("kept_objects", queue->kept_objects);
    } else {
      finding.claim += blocked.cleanup
                           ? ": fewer or no other cleanups run, and what waits for one is never freed."
                           : ": no other finalizer runs, and what waits for one is never freed.";
      finding.headline = fmt::format("a {} blocks others", what);
    }
    finding.evidence.push_back(fmt::format("wait reason: {}", blocked.group->wait_reason));
    if (blocked.long_enough())
      finding.figure("since", FigureUnit::kTime, static_cast<double>(blocked.group->oldest_wait_ns));
    if (large && complete) finding.recoverable_bytes = kept;
    finding.remedy = fmt::format(
        "Let this {0} return: a {0} must not wait for others (start a goroutine in it that does). Better: "
        "Close() by the owner.",
        what);
    finding.confidence = queue && complete ? Confidence::kHigh : Confidence::kMedium;
    if (!queue) finding.against.emplace_back("how many objects wait was not read");
    if (queue && !complete)
      finding.against.emplace_back(
          "the walk of the heap was not finished: others may refer to these objects too");
    return finding;
  }
};

}  // namespace

const Rule& finalizer_queue_rule() {
  static const FinalizerQueue kRule;
  return kRule;
}

}  // namespace memwhy::explain
