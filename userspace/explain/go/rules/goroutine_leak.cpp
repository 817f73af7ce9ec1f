// SPDX-License-Identifier: Apache-2.0
// goroutine-leak: goroutines that wait at one place for something that does not come, and alone keep memory alive. A heap
// profile knows where that memory was allocated, a list of goroutines which of them wait; the join is the cause.
//
//   grew     the group's count or weight, by the judge of all growth (growth.h)       problem, high
//   holds    blocked in a state that is never idling (a send, a lock) for 10 s       problem, medium
//   holds    the same, for less                                                       explains
// Those that wait where idle workers wait too (a receive, a select, a read) and do not grow: goroutines.cpp.
//
// This is the judgement; its words are in goroutine_leak_words.cpp. From outside, a goroutine that waits for ever looks like one
// with a slow receiver; `against` mentions that.
#include <algorithm>
#include <array>

#include "explain/go/groups.h"
#include "explain/go/rules/goroutine_leak_words.h"
#include "explain/go/rules/goroutine_standing.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kLongWait = 10'000'000'000;

// States in which an idle worker, a server or a main that waits for its workers waits as well.
bool idles_in(std::string_view reason) {
  constexpr std::array<std::string_view, 10> kIdle = {
      "IO wait",        "sleep",      "select",  "select (no cases)", "chan receive",
      "sync.Cond.Wait", "semacquire", "syscall", "coroutine",         "sync.WaitGroup.Wait"};
  return std::find(kIdle.begin(), kIdle.end(), reason) != kIdle.end();
}

// Each goroutine of a group keeps an object of the same size, but a stale word elsewhere looks like the address of one or
// two of them: they are in use all the same, and end with these goroutines. No more than a third, and only if the heap has them.
uint64_t shared_bytes(const Case& c, const GroupStory& group, const Origin& origin) {
  const events::GoGroup& now = *group.now;
  if (origin.object_bytes == 0 || origin.objects >= now.count ||
      (now.count - origin.objects) * 3 > now.count ||
      now.kept_bytes >= (origin.objects + 1) * origin.object_bytes ||
      of(c.ledger.bytes, Owner::kGoHeapLive) < now.count * origin.object_bytes)
    return 0;
  return (now.count - origin.objects) * origin.object_bytes;
}

// Of the large objects that a group keeps: pages that were never written to, or are swapped out.
uint64_t untouched(const Case& c, const events::GoGroup& group) {
  uint64_t sum = 0;
  for (const events::GoKeptObject& object : group.large)
    sum += object.bytes - c.go->resident_bytes(object.address, object.bytes).value_or(object.bytes);
  return sum;
}

class GoroutineLeak : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (c.go == nullptr) return std::nullopt;
    const std::vector<GroupStory> groups = group_stories(*c.go);
    const GroupStory* worst = nullptr;
    Standing standing = Standing::kSilent;
    for (const GroupStory& group : groups) {  // heaviest first: the first of the worst standing stays
      const Standing next = standing_of(group, problem_threshold(c.ledger));
      const bool problem = next >= Standing::kHolds, had = standing >= Standing::kHolds;
      if (next == Standing::kSilent ||
          (next == Standing::kExplains && idles(group) && !grew(group)) ||  // goroutines.cpp
          (worst != nullptr && problem <= had))
        continue;
      worst = &group;
      standing = next;
    }
    if (worst == nullptr) return std::nullopt;
    return told(c, *worst, standing);
  }

 private:
  static Finding told(const Case& c, const GroupStory& group, Standing standing) {
    const Origin origin = origin_of(*c.go, *group.now);
    const uint64_t shared = shared_bytes(c, group, origin), kept = group.now->kept_bytes + shared;
    Finding finding = go_finding(c, "goroutine-leak", standing >= Standing::kHolds, {});
    const uint64_t heap =
        c.ledger.total({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapUnclassified});
    const uint64_t stacks = c.ledger.total({Owner::kGoStacks, Owner::kGoHeapUnclassified});
    const uint64_t of_stacks = std::min(group.now->stack_bytes, stacks);
    finding.bytes = std::min(std::min(kept - std::min(kept, untouched(c, *group.now)), heap) + of_stacks,
                             c.ledger.rss.bytes);
    // What others may reach too would not go with these goroutines.
    if (group.complete || of_stacks > 0)
      finding.recoverable_bytes = group.complete ? finding.bytes : of_stacks;
    finding.growth_bytes_per_s = trend_of(group.weights).bytes_per_s;
    finding.owners.push_back(group.now->kept_bytes > 0 ? Owner::kGoHeapLive : Owner::kGoStacks);
    const bool grew = standing == Standing::kGrew, idle = idles(group);
    finding.confidence = !group.complete ? Confidence::kLow
                         : grew && !idle ? Confidence::kHigh
                                         : Confidence::kMedium;
    tell_goroutine_leak({c, group, origin, kept, shared, grew, idle}, finding);
    return finding;
  }
};

}  // namespace

// "semacquire" is WaitGroup.Wait up to Go 1.23, but a lock up to Go 1.19: the stack decides.
bool grew(const GroupStory& group) {
  return trend_of(group.counts).lasting() || (group.complete && trend_of(group.weights).lasting());
}

bool idles(const GroupStory& group) {
  if (!idles_in(group.now->wait_reason)) return false;
  return group.now->wait_reason != "semacquire" ||
         std::none_of(group.frames.begin(), group.frames.end(), [](const Frame& frame) {
           const std::string_view name = frame.function;
           return name.starts_with("sync.runtime_SemacquireMutex") || name.starts_with("sync.(*Mutex)") ||
                  name.starts_with("sync.(*RWMutex)");
         });
}

Standing standing_of(const GroupStory& group, uint64_t threshold) {
  if (group.of_runtime || group.frames.empty() || group.now->wait_reason.empty()) return Standing::kSilent;
  const bool idle = idles(group), rising = grew(group);
  if (group.weight() < threshold) {
    const bool many =
        group.now->count >= kManyGoroutines && group.now->count >= 3 * group.counts.front().value;
    return rising && many ? Standing::kExplains : Standing::kSilent;
  }
  if (rising &&
      (!idle || group.weight() - std::min(group.weight(), group.weights.front().value) >= threshold))
    return Standing::kGrew;
  if (!idle && waited(*group.now, group.read_at, kLongWait)) return Standing::kHolds;
  return !idle || group.now->count > 1 ? Standing::kExplains : Standing::kSilent;
}

const Rule& goroutine_leak_rule() {
  static const GoroutineLeak kRule;
  return kRule;
}

}  // namespace memwhy::explain
