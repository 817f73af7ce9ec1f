// SPDX-License-Identifier: Apache-2.0
// goroutine-leak: goroutines that wait at one place for something that does not come, and alone keep memory alive. A heap
// profile knows where that memory was allocated, a list of goroutines who waits; the join is the cause.
//
//   grew     three rising readings of the group's count or weight                     problem, high
//   holds    blocked in a state in which nobody idles (a send, a lock) for 10 s       problem, medium
//   holds    waiting where idle workers wait too (a receive, a select, a read),
//            more than one of them: main waits there with what the program lives on   explains
//
// That a goroutine waits for ever can't be seen from outside; a slow receiver looks the same, and `against` says so.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/go_groups.h"
#include "explain/rules/causes.h"
#include "explain/rules/go_words.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kLongWait = 10'000'000'000;
constexpr uint64_t kJumpBytes = uint64_t{1} << 20;  // a smaller step is lost among other allocations
constexpr uint64_t kManyGoroutines = 100;
constexpr size_t kFramesShown = 5, kStepsShown = 6, kReadingsShown = 8;

enum class Standing : uint8_t { kSilent, kExplains, kHolds, kGrew };

// States in which an idle worker, a server or a main that waits for its workers waits as well.
bool idles_in(std::string_view reason) {
  constexpr std::array<std::string_view, 10> kIdle = {
      "IO wait",        "sleep",      "select",  "select (no cases)", "chan receive",
      "sync.Cond.Wait", "semacquire", "syscall", "coroutine",         "sync.WaitGroup.Wait"};
  return std::find(kIdle.begin(), kIdle.end(), reason) != kIdle.end();
}

// "semacquire" is WaitGroup.Wait up to Go 1.23, but a lock up to Go 1.19: the stack tells.
bool idles(const GroupStory& group) {
  if (!idles_in(group.now->wait_reason)) return false;
  return group.now->wait_reason != "semacquire" ||
         std::none_of(group.frames.begin(), group.frames.end(), [](const std::string& frame) {
           return frame.starts_with("sync.runtime_SemacquireMutex") || frame.starts_with("sync.(*Mutex)") ||
                  frame.starts_with("sync.(*RWMutex)");
         });
}

// What the "goroutineleak" profile of Go 1.26 and later may list: (*g).internalBlocked in mgcmark.go names the others.
bool in_leak_profile(std::string_view reason) {
  constexpr std::array<std::string_view, 11> kListed = {"chan receive (nil chan)",
                                                        "chan send (nil chan)",
                                                        "select (no cases)",
                                                        "select",
                                                        "chan receive",
                                                        "chan send",
                                                        "sync.Cond.Wait",
                                                        "sync.Mutex.Lock",
                                                        "sync.RWMutex.RLock",
                                                        "sync.RWMutex.Lock",
                                                        "sync.WaitGroup.Wait"};
  return std::find(kListed.begin(), kListed.end(), reason) != kListed.end();
}

bool grew(const GroupStory& group) {
  return trend_of(group.counts).rising || (group.complete && trend_of(group.weights).rising);
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
  const TimeNs since = group.now->oldest_wait_ns;
  if (!idle && since != 0 && since + kLongWait <= group.read_at) return Standing::kHolds;
  return !idle || group.now->count > 1 ? Standing::kExplains : Standing::kSilent;
}

// Each goroutine of a group keeps an object of the same size, but a stale word elsewhere looks like the address of one or
// two of them: they are in use all the same, and end with these goroutines. At most a third, and only if the heap has them.
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
      if (next == Standing::kSilent || (worst != nullptr && problem <= had)) continue;
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
    finding.owners.emplace_back(
        owner_name(group.now->kept_bytes > 0 ? Owner::kGoHeapLive : Owner::kGoStacks).id);
    finding.claim = claim(c, group, origin, kept);
    finding.confidence = !group.complete                                ? Confidence::kLow
                         : standing == Standing::kGrew && !idles(group) ? Confidence::kHigh
                                                                        : Confidence::kMedium;
    add_evidence(c, group, origin, finding);
    add_against(c, group, standing, finding);
    if (shared > 0) {
      finding.against.push_back(
          fmt::format("{} of it are in use, of the same size, but a word elsewhere looks like their address: "
                      "not kept by these "
                      "goroutines alone, as far as can be seen",
                      human_bytes(shared)));
    }
    finding.remedy = remedy(c, group.now->wait_reason);
    return finding;
  }

  static std::string claim(const Case& c, const GroupStory& group, const Origin& origin, uint64_t kept) {
    const events::GoGroup& now = *group.now;
    const bool one = now.count == 1;
    std::string text = fmt::format("{} goroutine{} {} {}{} ", now.count, one ? "" : "s",
                                   idles(group) ? "waiting in" : "blocked in", now.wait_reason,
                                   group.site.empty() ? "" : " at " + group.site);
    if (now.kept_bytes == 0) {
      text += fmt::format("{} {} of stacks", one ? "has" : "have", human_bytes(now.stack_bytes));
    } else {
      const char* verb = group.complete ? "keep" : "reach";
      text += fmt::format("{}{} {}", verb, !one ? "" : group.complete ? "s" : "es", human_bytes(kept));
      if (!one) {
        const bool alike =
            origin.object_bytes != 0 && kept / now.count / (64 << 10) == origin.object_bytes / (64 << 10);
        text += fmt::format(": {} each{}", human_bytes(kept / now.count), alike ? "" : " on average");
      }
      if (!origin.site.empty())
        text += fmt::format(", {} {}", origin.allocation ? "allocated at" : "first touched at", origin.site);
    }
    if (!group.created_at.empty()) text += ", created at " + group.created_at;
    if (now.oldest_wait_ns != 0) {
      const std::string since = c.go->clock(now.oldest_wait_ns);
      if (!since.empty())
        text += fmt::format(", {}waiting at least since {}", one ? "" : "the longest ", since);
    }
    return text + ".";
  }

  static void add_evidence(const Case& c, const GroupStory& group, const Origin& origin, Finding& finding) {
    const events::GoGroup& now = *group.now;
    if (now.kept_bytes > 0) {
      finding.evidence.push_back(
          fmt::format("{} objects are reachable from the stacks of these goroutines{}", now.kept_objects,
                      group.complete ? ", and from no global variable and no other goroutine" : ""));
    }
    if (now.leaked > 0)
      finding.evidence.push_back(
          fmt::format("Go's own goroutine leak profile calls {} of them leaked", now.leaked));
    add_origin(origin, finding);
    if (group.counts.size() > 1) finding.evidence.push_back(readings(c, group));
    const std::string steps = steps_of(c, group);
    if (!steps.empty()) finding.evidence.push_back(steps);
    std::string stack;
    for (size_t i = 0; i < std::min(group.frames.size(), kFramesShown); ++i)
      stack += (i == 0 ? "" : " < ") + group.frames[i];
    if (group.frames.size() > kFramesShown) stack += " < ...";
    finding.evidence.push_back("they wait in " + stack);
    if (now.stack_bytes > 0 && now.kept_bytes > 0)
      finding.evidence.push_back(fmt::format("their stacks take {} more", human_bytes(now.stack_bytes)));
  }

  static void add_origin(const Origin& origin, Finding& finding) {
    if (origin.objects == 0) return;
    if (origin.sampled > 0) {
      finding.evidence.push_back(fmt::format(
          "where they were allocated is known from the heap profile's samples of {} of {} large objects",
          origin.sampled, origin.objects));
    }
    if (origin.probed > 0) {
      finding.evidence.push_back(fmt::format(
          "the allocation of {} of {} large objects was seen by a probe on the Go runtime, by their size",
          origin.probed, origin.objects));
    }
    if (origin.touched > 0) {
      finding.evidence.push_back(
          fmt::format("{} of {} large objects became resident after memwhy attached: the stacks of their "
                      "page faults are known",
                      origin.touched, origin.objects));
    }
    const size_t known = origin.sampled + origin.probed + origin.touched;
    if (!origin.site.empty() && known < origin.objects) {
      finding.evidence.push_back(
          fmt::format("{} of them were there before: they are taken to come from the same place",
                      origin.objects - known));
    }
    if (origin.site.empty()) {
      finding.evidence.emplace_back(
          "where they were allocated is unknown: no sample of a heap profile, and there before memwhy "
          "attached");
    }
  }

  static std::string readings(const Case& c, const GroupStory& group) {
    std::string counts;
    const size_t all = group.counts.size();
    for (size_t i = all - std::min(all, kReadingsShown); i < all; ++i)
      counts += fmt::format("{}{}", counts.empty() ? "" : ", ", group.counts[i].value);
    const std::string last = c.go->clock(group.read_at);
    return fmt::format("{} readings{}: {} goroutines of this kind, {} then {}", all,
                       last.empty() ? "" : ", the last at " + last, counts,
                       human_bytes(group.weights.front().value), human_bytes(group.weight()));
  }

  // One step for each job, by the runtime's own counter: it is read more often than goroutines are.
  static std::string steps_of(const Case& c, const GroupStory& group) {
    const uint64_t each = group.now->count == 0 ? 0 : group.now->kept_bytes / group.now->count;
    const uint64_t first = group.weights.front().value;
    if (each < kJumpBytes || group.weight() <= first || c.go->curve().empty()) return "";
    std::vector<std::string> steps;
    uint64_t base = c.go->curve().front().counters.heap_in_use_bytes, sum = 0;
    for (const timeline::GoPoint& point : c.go->curve()) {
      const uint64_t in_use = point.counters.heap_in_use_bytes;
      if (in_use >= base + each / 4 * 3) {
        steps.push_back(fmt::format("+{} by {}", human_bytes(in_use - base), c.go->clock(point.time)));
        sum += in_use - base;
        base = in_use;
      }
      base = std::min(base, in_use);
    }
    if (sum * 2 < group.weight() - first || sum > 2 * (group.weight() - first))
      return "";  // of something else
    std::string text = fmt::format("the heap rose in {} steps of about that size: ", steps.size());
    const size_t from = steps.size() - std::min(steps.size(), kStepsShown);
    for (size_t i = from; i < steps.size(); ++i) text += (i == from ? "" : ", ") + steps[i];
    return text;
  }

  static void add_against(const Case& c, const GroupStory& group, Standing standing, Finding& finding) {
    const events::GoGroup& now = *group.now;
    if (!group.complete) {
      finding.against.emplace_back(
          "the walk through the heap ran out of its budget: the bytes are reachable from these goroutines, "
          "and "
          "perhaps from others");
    }
    if (standing != Standing::kGrew) {
      finding.against.push_back(
          group.counts.size() < 4 ? fmt::format("growth needs four readings, there {} {}",
                                                group.counts.size() == 1 ? "is" : "are", group.counts.size())
                                  : std::string("the group did not grow while memwhy looked"));
    }
    finding.against.emplace_back(idles(group)
                                     ? "idle workers and open connections wait here too: nobody can tell "
                                       "from outside whether it is for ever"
                                     : "a partner that is only slow looks the same: nobody can tell from "
                                       "outside whether it is for ever");
    if (now.oldest_wait_ns == 0) {
      finding.against.emplace_back("since when they wait is unknown: no collection has ended since");
    }
    if (now.kept_bytes + now.stack_bytes > finding.bytes) {
      finding.against.push_back(fmt::format("{} of it are not resident",
                                            human_bytes(now.kept_bytes + now.stack_bytes - finding.bytes)));
    }
    constexpr TimeNs kOld = 2'000'000'000;
    if (!c.samples.empty() && c.samples.back().time > group.read_at + kOld) {
      finding.against.push_back(
          fmt::format("goroutines were last read {} before the last scan",
                      human_seconds(static_cast<double>(c.samples.back().time - group.read_at) / 1e9)));
    }
  }

  static std::string remedy(const Case& c, std::string_view reason) {
    std::string text;
    if (reason.starts_with("chan send")) {
      text =
          "Give the channel room for the value (make(chan T, 1)), or send in a select with <-ctx.Done(), so "
          "that the "
          "sender ends when nobody receives.";
    } else if (reason.starts_with("chan receive")) {
      text = "Close the channel when no value will come, or receive in a select with <-ctx.Done().";
    } else if (reason.starts_with("select")) {
      text =
          "Give the select a case <-ctx.Done() or a timer, and cancel the context when the caller gives up.";
    } else if (reason == "sync.WaitGroup.Wait") {
      text = "Find which goroutine never calls Done, and let it end (ctx.Done(), a timeout).";
    } else if (reason == "sleep") {
      text = "Wait in a select with <-ctx.Done() and a timer, so that the goroutine can be ended.";
    } else if (reason == "IO wait") {
      text = "Set a deadline (SetReadDeadline), or close the connection or pipe when it is no longer needed.";
    } else {
      text = "Find who holds the lock or never signals, and let waiters give up (ctx.Done(), a timeout).";
    }
    if (!go_at_least(c, 26)) return text;
    if (!in_leak_profile(reason))
      return text +
             fmt::format(" Go's own \"goroutineleak\" profile does not list goroutines in {}.", reason);
    return text +
           fmt::format(
               " From inside, the \"goroutineleak\" profile of runtime/pprof lists goroutines that can never "
               "go on{}.",
               go_at_least(c, 27) ? "" : ", in a build with GOEXPERIMENT=goroutineleakprofile");
  }
};

}  // namespace

const Rule& goroutine_leak_rule() {
  static const GoroutineLeak kRule;
  return kRule;
}

}  // namespace memwhy::explain
