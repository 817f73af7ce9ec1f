// SPDX-License-Identifier: Apache-2.0
#include "probe/allocation_probes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "base/text.h"
#include "base/time.h"

namespace memwhy::probe {
namespace {

constexpr TimeNs kShortest = 1'000'000, kLongest = 50'000'000, kLongestLook = 1'000'000'000;
constexpr size_t kMostSaid = 32;

std::string functions_of(const events::AllocationProbePlan& plan) {
  std::string out;
  for (size_t i = 0; i < plan.sites.size(); ++i)
    out += (i == 0 ? "" : i + 1 == plan.sites.size() ? " and " : ", ") + plan.sites[i].function;
  return out + " of " + plan.name;
}

}  // namespace

uint64_t give_calls(int32_t& left, int32_t calls) {
  const std::atomic_ref shared(left);
  int32_t now = shared.load();
  while (!shared.compare_exchange_weak(now, std::max(now, 0) + calls)) {
  }
  return static_cast<uint64_t>(std::max(-int64_t{now}, int64_t{0}));
}

AllocationProbes::~AllocationProbes() {
  thread_ = {};
  for (auto& [space, each] : attached_) unlink(each);
}

uint64_t AllocationProbes::Attached::recorded(uint32_t calls_a_turn) const {
  const int32_t now = std::atomic_ref(*left).load();
  return uint64_t{turns} * calls_a_turn - static_cast<uint64_t>(std::max(now, 0));
}

void AllocationProbes::say(std::string sentence) {
  changed_ = true;
  if (sentences_.size() < kMostSaid &&
      std::find(sentences_.begin(), sentences_.end(), sentence) == sentences_.end())
    sentences_.push_back(std::move(sentence));
}

void AllocationProbes::attach(SpaceId space, events::AllocationProbePlan plan) {
  const std::lock_guard lock(mutex_);
  for (std::string& sentence : plan.not_probed) say(std::move(sentence));
  int32_t* const left = left_(space);
  if (attached_.contains(space) || plan.sites.empty() || left == nullptr) return;
  if (way_ == UprobeWay::kNone) return say(why_none_);
  std::atomic_ref(*left).store(0);
  Attached& at = attached_[space];
  at.plan = std::move(plan);
  at.left = left;
  changed_ = true;
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  wake_.notify_all();
}

void AllocationProbes::detach(SpaceId space,
                              const std::function<std::optional<std::string>(uint64_t site)>& locked) {
  const std::lock_guard lock(mutex_);
  const auto found = attached_.find(space);
  if (found == attached_.end()) return;
  Attached& at = found->second;
  const std::optional<std::string> why =
      at.links.any() ? locked(at.plan.sites.front().address) : std::nullopt;
  if (why) {
    const std::string how =
        leave_attached(at.links, fmt::format("memwhy-{}-{}-malloc", ::getpid(), at.plan.tgid));
    say(fmt::format("The probes on malloc of pid {} stay, because {}: {}.", at.plan.tgid, *why, how));
    count_late(at);
  }
  unlink(at);
  add_to(ended_, at);
  std::atomic_ref(*at.left).store(0);
  attached_.erase(found);
  changed_ = true;
}

void AllocationProbes::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const TimeNs now = clock_ns(CLOCK_MONOTONIC);
    TimeNs next = now + kLongest;
    for (auto& [space, each] : attached_) next = std::min(next, step(space, each, now));
    wake_.wait_for(lock, stop, std::chrono::nanoseconds(next - now), [] { return false; });
  }
}

// Otherwise attaching and taking away would wait for it, and with them every fork of the machine. A look goes over all processes:
// the longer a lock is held, the rarer they are.
bool AllocationProbes::map_is_free(SpaceId space, Attached& at, TimeNs now) {
  if (now < at.next_look) return false;
  const MapState state = map_state_(space, at.plan.sites.front().address, at.looks);
  at.until_next = state == MapState::kHeld ? std::clamp(at.until_next * 2, kShortest, kLongestLook) : 0;
  at.next_look = now + std::max(at.until_next, kShortest);
  if (state != MapState::kFree) return false;
  at.looks.reset();
  at.next_look = 0;
  return true;
}

TimeNs AllocationProbes::step(SpaceId space, Attached& at, TimeNs now) {
  int32_t left = std::atomic_ref(*at.left).load();
  const bool ends = at.links.any() && left <= 0, begins = at.turns < budget_.turns && now >= at.next_turn;
  if ((ends || begins) && !map_is_free(space, at, now)) return at.next_look;
  if (ends) {
    unlink(at);
    left = 0;
  }
  if (begins) {
    begin_turn(at, now);
    return now + kShortest;
  }
  if (!at.links.any()) return at.turns < budget_.turns ? at.next_turn : now + kLongest;
  // As many calls again would leave some: it may be longer until the next look.
  const int32_t used = at.seen_left - left;
  at.pause = used * 4 <= left ? std::min(at.pause * 2, kLongest) : kShortest;
  at.seen_left = left;
  return now + at.pause;
}

void AllocationProbes::begin_turn(Attached& at, TimeNs now) {
  at.next_turn = now + budget_.turn_ns;
  ++at.turns;
  const auto calls = static_cast<int32_t>(budget_.calls_a_turn);
  at.pause = kShortest;
  if (at.links.any()) {
    at.late += give_calls(*at.left, calls);
    at.seen_left = std::atomic_ref(*at.left).load();
    return;
  }
  if (at.plan.waits && at.plan.waits()) return give_up(at, "its memory did not answer");
  std::vector<UprobeSite> sites;
  for (const events::AllocationSite& site : at.plan.sites)
    sites.push_back({site.offset, static_cast<uint64_t>(site.bytes)});
  Result<UprobeLinks> links = attach_uprobes(program_, way_, at.plan.tgid, at.plan.file, sites);
  if (!links) return give_up(at, links.error().message());
  at.links = *std::move(links);
  if (at.links.multi && at.plan.keep_open) at.plan.keep_open(at.links.multi.get());
  if (!all_trap(at.plan)) return give_up(at, "no breakpoint appeared in its code");
  // Only now: sites are attached one by one, and functions that are probed first would get more than their share.
  count_late(at);
  at.seen_left = calls;
  std::atomic_ref(*at.left).store(calls);
}

void AllocationProbes::give_up(Attached& at, const std::string& why) {
  unlink(at);
  at.turns = 0;
  at.next_turn = UINT64_MAX;
  std::atomic_ref(*at.left).store(0);
  say(fmt::format("Who calls malloc in pid {} is not known: {}.", at.plan.tgid, why));
}

// What trapped while nothing was to be recorded.
void AllocationProbes::count_late(Attached& at) {
  if (std::atomic_ref(*at.left).load() >= 0) return;
  const int64_t left = std::atomic_ref(*at.left).exchange(0);
  at.late += static_cast<uint64_t>(-std::min<int64_t>(left, 0));
}

void AllocationProbes::unlink(Attached& from) {
  if (!from.links.any()) return;
  changed_ = true;
  if (from.plan.waits && from.plan.waits()) {
    from.links.abandon();
    return say(fmt::format("The probes on malloc of pid {} stay until its memory answers.", from.plan.tgid));
  }
  if (from.plan.keep_open) from.plan.keep_open(-1);
  from.links.close();
  count_late(from);
  each_left_behind(from.plan, [&](const events::AllocationSite& site) {
    say(fmt::format("A breakpoint is left in {} of pid {}: another tracer's, or the kernel's fault.",
                    site.function, from.plan.tgid));
  });
}

void AllocationProbes::add_to(std::map<std::string, Sum>& sums, const Attached& at) const {
  if (at.turns == 0) return;
  Sum& sum = sums[functions_of(at.plan)];
  sum.recorded += at.recorded(budget_.calls_a_turn);
  sum.late += at.late;
}

bool AllocationProbes::changed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(changed_, false);
}

void AllocationProbes::report(events::HookReport& report) const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Sum> sums = ended_;
  for (const auto& [space, each] : attached_) add_to(sums, each);
  for (const auto& [functions, sum] : sums)
    report.hooks.push_back(
        {"allocation_call", name_of(way_),
         fmt::format("who calls {}: {} calls, and {} that trapped while the probes came and went", functions,
                     grouped(sum.recorded), grouped(sum.late))});
  report.not_seen.insert(report.not_seen.end(), sentences_.begin(), sentences_.end());
}

size_t AllocationProbes::links() const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& [space, each] : attached_) n += each.links.count();
  return n;
}

}  // namespace memwhy::probe
