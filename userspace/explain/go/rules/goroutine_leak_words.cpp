// SPDX-License-Identifier: Apache-2.0
#include "explain/go/rules/goroutine_leak_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr uint64_t kLeastStep = uint64_t{1} << 20;  // a smaller step is lost among other allocations
constexpr size_t kFramesShown = 5, kStepsShown = 6, kReadingsShown = 8;

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

// "320.0 MiB: 64.0 MiB each"; of buffers that were hardly written to "103.8 MiB (1.5 GiB virtual: 9.0 MiB each)".
std::string kept_text(const LeakTold& leak, uint64_t resident) {
  const uint64_t count = leak.group.now->count;
  std::string text = human_bytes(leak.kept_bytes);
  const bool mostly = resident / 9 * 10 >= leak.kept_bytes;
  if (!mostly) text = fmt::format("{} ({} virtual", human_bytes(resident), text);
  if (count > 1) {
    const bool alike = leak.origin.object_bytes != 0 &&
                       leak.kept_bytes / count / (64 << 10) == leak.origin.object_bytes / (64 << 10);
    text += fmt::format(": {} each{}", human_bytes(leak.kept_bytes / count), alike ? "" : " on average");
  }
  return mostly ? text : text + ")";
}

std::string claim(const LeakTold& leak, uint64_t resident) {
  const GroupStory& group = leak.group;
  const events::GoGroup& now = *group.now;
  const bool one = now.count == 1;
  std::string text = fmt::format("{} goroutine{} {} {}{} ", now.count, one ? "" : "s",
                                 leak.idle ? "waiting in" : "blocked in", now.wait_reason,
                                 group.site.known() ? " at " + text_of(group.site, FrameText::kShort) : "");
  if (now.kept_bytes == 0) {
    text += fmt::format("{} {} of stacks", one ? "has" : "have", human_bytes(now.stack_bytes));
  } else {
    const char* verb = group.complete ? "keep" : "reach";
    text += fmt::format("{}{} {}", verb, !one ? "" : group.complete ? "s" : "es", kept_text(leak, resident));
    if (leak.origin.site.known())
      text += fmt::format(", {} {}", leak.origin.allocation ? "allocated at" : "first touched at",
                          text_of(leak.origin.site, FrameText::kShort));
  }
  if (group.created_at.known()) text += ", created at " + text_of(group.created_at, FrameText::kShort);
  if (now.oldest_wait_ns != 0) {
    const std::string since = leak.c.go->clock(now.oldest_wait_ns);
    if (!since.empty())
      text += fmt::format(", {}waiting at least since {}", one ? "" : "the longest ", since);
  }
  return text + ".";
}

void add_origin(const Origin& origin, Finding& finding) {
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
  if (origin.site.known() && known < origin.objects) {
    finding.evidence.push_back(
        fmt::format("{} of them existed before memwhy attached and are assumed to come from the same place",
                    origin.objects - known));
  }
  if (!origin.site.known()) {
    finding.evidence.emplace_back(
        "where they were allocated is unknown: no sample of a heap profile, and there before memwhy "
        "attached");
  }
}

std::string readings(const Case& c, const GroupStory& group) {
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
std::string steps_of(const Case& c, const GroupStory& group) {
  const uint64_t each = group.now->count == 0 ? 0 : group.now->kept_bytes / group.now->count;
  const uint64_t first = group.weights.front().value;
  if (each < kLeastStep || group.weight() <= first || c.go->curve().empty()) return "";
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
  if (sum * 2 < group.weight() - first || sum > 2 * (group.weight() - first)) return "";  // of something else
  std::string text = fmt::format("the heap rose in {} steps of about that size: ", steps.size());
  const size_t from = steps.size() - std::min(steps.size(), kStepsShown);
  for (size_t i = from; i < steps.size(); ++i) text += (i == from ? "" : ", ") + steps[i];
  return text;
}

void add_evidence(const LeakTold& leak, Finding& finding) {
  const GroupStory& group = leak.group;
  const events::GoGroup& now = *group.now;
  if (now.kept_bytes > 0) {
    finding.evidence.push_back(
        fmt::format("{} objects are reachable from the stacks of these goroutines{}", now.kept_objects,
                    group.complete ? ", and from no global variable and no other goroutine" : ""));
  }
  if (now.leaked > 0)
    finding.evidence.push_back(
        fmt::format("Go's own goroutine leak profile calls {} of them leaked", now.leaked));
  add_origin(leak.origin, finding);
  if (group.counts.size() > 1) finding.evidence.push_back(readings(leak.c, group));
  const std::string steps = steps_of(leak.c, group);
  if (!steps.empty()) finding.evidence.push_back(steps);
  std::string stack;
  for (size_t i = 0; i < std::min(group.frames.size(), kFramesShown); ++i)
    stack += (i == 0 ? "" : " < ") + text_of(group.frames[i], FrameText::kShort);
  if (group.frames.size() > kFramesShown) stack += " < ...";
  finding.evidence.push_back("they wait in " + stack);
  if (now.stack_bytes > 0 && now.kept_bytes > 0)
    finding.evidence.push_back(fmt::format("their stacks take {} more", human_bytes(now.stack_bytes)));
}

void add_against(const LeakTold& leak, Finding& finding) {
  const GroupStory& group = leak.group;
  const Case& c = leak.c;
  const events::GoGroup& now = *group.now;
  if (!group.complete) {
    finding.against.emplace_back(
        "the walk through the heap ran out of its budget: the bytes are reachable from these goroutines, and "
        "perhaps from others");
  }
  if (!leak.grew) {
    finding.against.push_back(group.counts.size() < 4
                                  ? fmt::format("growth needs four readings; there {} {}",
                                                group.counts.size() == 1 ? "is" : "are", group.counts.size())
                              : trend_of(group.counts).rising
                                  ? fmt::format("it grew, for less than the {} from which on growth shows",
                                                human_seconds(kLastingSeconds))
                                  : std::string("the group did not grow during the recording"));
  }
  finding.against.emplace_back(leak.idle
                                   ? "idle workers and open connections wait here too, and look the same"
                                   : "a partner that is merely slow looks the same from outside");
  if (now.oldest_wait_ns == 0) {
    finding.against.emplace_back("how long they have waited is unknown: no collection has ended since");
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

std::string remedy(const Case& c, std::string_view reason) {
  std::string text;
  if (reason.starts_with("chan send")) {
    text =
        "Give the channel room for the value (make(chan T, 1)), or send in a select with <-ctx.Done(), so "
        "that the sender ends when nobody receives.";
  } else if (reason.starts_with("chan receive")) {
    text = "Close the channel when no value will come, or receive in a select with <-ctx.Done().";
  } else if (reason.starts_with("select")) {
    text = "Give the select a case <-ctx.Done() or a timer, and cancel the context when the caller gives up.";
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
    return text + fmt::format(" Go's own \"goroutineleak\" profile does not list goroutines in {}.", reason);
  return text +
         fmt::format(
             " From inside, the \"goroutineleak\" profile of runtime/pprof lists goroutines that can never "
             "go on{}.",
             go_at_least(c, 27) ? "" : ", in a build with GOEXPERIMENT=goroutineleakprofile");
}

void add_figures(const LeakTold& leak, Finding& finding) {
  const events::GoGroup& now = *leak.group.now;
  finding.count_figure("goroutines", now.count);
  if (now.kept_bytes > 0) {
    finding.bytes_figure("kept_bytes", leak.kept_bytes);
    finding.count_figure("kept_objects", now.kept_objects);
    if (now.count > 1) finding.bytes_figure("kept_bytes_each", leak.kept_bytes / now.count);
  }
  if (now.stack_bytes > 0) finding.bytes_figure("stack_bytes", now.stack_bytes);
  if (now.leaked > 0) finding.count_figure("leaked", now.leaked);
  if (leak.origin.sampled + leak.origin.probed + leak.origin.touched > 0)
    finding.count_figure("large_objects", leak.origin.objects);
  if (leak.shared_bytes > 0) finding.bytes_figure("shared_bytes", leak.shared_bytes);
  if (leak.group.counts.size() > 1) {
    finding.count_figure("readings", leak.group.counts.size());
    finding.bytes_figure("first_bytes", leak.group.weights.front().value);
    finding.bytes_figure("last_bytes", leak.group.weight());
  }
  if (now.oldest_wait_ns != 0)
    finding.figure("waiting_since", FigureUnit::kTime, static_cast<double>(now.oldest_wait_ns));
}

}  // namespace

void tell_goroutine_leak(const LeakTold& leak, Finding& finding) {
  const events::GoGroup& group = *leak.group.now;
  finding.headline = fmt::format("{} goroutine{} in {} keep{} {}", group.count, group.count == 1 ? "" : "s",
                                 group.wait_reason, group.count == 1 ? "s" : "",
                                 bytes_and_share(finding.bytes, leak.c.ledger));
  finding.claim = claim(leak, finding.bytes);
  add_evidence(leak, finding);
  add_against(leak, finding);
  if (leak.shared_bytes > 0) {
    finding.against.push_back(
        fmt::format("{} of it are in use, of the same size, but a word elsewhere looks like their address: "
                    "not kept by these "
                    "goroutines alone, as far as can be seen",
                    human_bytes(leak.shared_bytes)));
  }
  finding.remedy = remedy(leak.c, leak.group.now->wait_reason);
  add_figures(leak, finding);
}

}  // namespace memwhy::explain
