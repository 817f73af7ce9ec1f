// SPDX-License-Identifier: Apache-2.0
// goroutines: many goroutines that wait where idle ones wait, and do not grow in number: the connections, workers and requests
// of a healthy program. Reports what they hold, in total and each; there is nothing to do. Those that grow or wait for ever:
// goroutine-leak. Stacks that are large for any reason: goroutine-stacks.
//
//   3000  in IO wait   at http2.(*Framer).ReadFrame      52.7 MiB
//   3000  in select    at transport.(*controlBuffer).get 29.6 MiB     → 6,000 goroutines hold 82.3 MiB, 14.0 KiB each
//
// The memory of a connection is often reached from two goroutines and from a list of all connections, so that no group keeps it
// alone. Then the objects nearest to them are counted, by the walk of the whole heap at the end of the recording.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "explain/go/rules/goroutine_standing.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr size_t kGroupsNamed = 4;

struct Many {
  std::vector<GroupStory> groups;  // heaviest first
  uint64_t count = 0, kept_bytes = 0, stack_bytes = 0;
  bool complete = true;
  bool nearest = false;  // kept_bytes are nearest to them, and others reach them too
};

// Of the objects in use, those that are nearer to a goroutine of these groups than to all else; 0: unknown. The walk goes
// breadth first: one that was not finished has found the nearest of less.
uint64_t nearest_bytes(const std::optional<events::GoHeld>& held, const std::vector<GroupStory>& groups) {
  if (!held) return 0;
  uint64_t sum = 0;
  for (const events::GoHolder& holder : held->holders) {
    const bool one_of_them = std::any_of(groups.begin(), groups.end(), [&](const GroupStory& group) {
      return holder.kind == events::GoHolder::Kind::kGoroutines && holder.frames == group.now->frames &&
             holder.created_at == group.now->created_at;
    });
    if (one_of_them) sum += holder.bytes + holder.also_bytes;
  }
  return sum;
}

Many healthy_groups(const Case& c) {
  Many out;
  for (GroupStory& group : group_stories(*c.go)) {
    const Standing standing = standing_of(group, problem_threshold(c.ledger));
    if (group.of_runtime || !idles(group) || grew(group) || standing >= Standing::kHolds) continue;
    out.count += group.now->count;
    out.kept_bytes += group.now->kept_bytes;
    out.stack_bytes += group.now->stack_bytes;
    out.complete &= group.complete;
    out.groups.push_back(std::move(group));
  }
  if (out.groups.empty()) return out;  // none was read, perhaps
  const std::optional<events::GoHeld>& held = c.go->goroutines().back().all->held;
  if (const uint64_t bytes = nearest_bytes(held, out.groups); bytes > 2 * out.kept_bytes) {
    out.kept_bytes = bytes;
    out.nearest = true;
    out.complete &= held->complete;
  }
  return out;
}

class Goroutines : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.go == nullptr) return std::nullopt;
    const Many many = healthy_groups(c);
    const uint64_t heap =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapUnclassified});
    const uint64_t stacks = c.ledger.total({Owner::kGoStacks, Owner::kGoHeapUnclassified});
    const uint64_t bytes =
        std::min(std::min(many.kept_bytes, heap) + std::min(many.stack_bytes, stacks), c.ledger.rss.bytes);
    if (many.count < kManyGoroutines || bytes < problem_threshold(c.ledger)) return std::nullopt;
    return told(c, many, bytes);
  }

 private:
  static Finding told(const Case& c, const Many& many, uint64_t bytes) {
    Finding finding = go_finding(c, "goroutines", false, {Owner::kGoHeapLive, Owner::kGoStacks});
    finding.bytes = bytes;
    finding.growth_bytes_per_s.reset();
    finding.confidence = many.complete ? Confidence::kMedium : Confidence::kLow;
    const bool alone = many.complete && !many.nearest;
    const char* hold = alone ? "hold" : "reach";
    finding.headline = fmt::format("{} goroutines {} {}", many.count, hold, bytes_and_share(bytes, c.ledger));
    finding.claim =
        fmt::format("{} goroutines that wait {} {} of {}'s memory, {} each on average.", many.count, hold,
                    bytes_and_share(bytes, c.ledger), c.process.comm, human_bytes(bytes / many.count));
    finding.count_figure("goroutines", many.count);
    finding.bytes_figure("bytes_each", bytes / many.count);
    finding.bytes_figure("kept_bytes", many.kept_bytes);
    finding.bytes_figure("stack_bytes", many.stack_bytes);
    for (size_t i = 0; i < std::min(many.groups.size(), kGroupsNamed); ++i)
      finding.evidence.push_back(text_of_group(many.groups[i]));
    finding.evidence.push_back(fmt::format("{} of it virtual are objects that they {}, {} are stacks",
                                           human_bytes(many.kept_bytes),
                                           alone          ? "alone keep"
                                           : many.nearest ? "are nearest to"
                                                          : "reach",
                                           human_bytes(many.stack_bytes)));
    finding.remedy =
        "None needed if each serves a connection, a request or a queue: fewer of them, or smaller buffers "
        "for "
        "each, take less.";
    finding.against.emplace_back(
        "goroutines that wait for ever look the same until their number grows: a longer recording shows "
        "whether it does");
    if (many.nearest)
      finding.against.emplace_back(
          "what is nearest to them is reached from others too, and does not go with them alone");
    if (!many.complete)
      finding.against.emplace_back("the walk of the heap was not finished: others may refer to it too");
    return finding;
  }

  static std::string text_of_group(const GroupStory& group) {
    std::string text = fmt::format("{} in {}", group.now->count, group.now->wait_reason);
    if (group.site.known()) text += " at " + text_of(group.site, FrameText::kShort);
    if (group.created_at.known()) text += ", created at " + text_of(group.created_at, FrameText::kShort);
    return text + ": " + human_bytes(group.weight());
  }
};

}  // namespace

const Rule& goroutines_rule() {
  static const Goroutines kRule;
  return kRule;
}

}  // namespace memwhy::explain
