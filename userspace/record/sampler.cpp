// SPDX-License-Identifier: Apache-2.0
#include "record/sampler.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace memwhy::record {
namespace {

// CPU that one look at its runtimes took, on average.
uint64_t cost_of_reading(const Target& target) {
  uint64_t sum = 0;
  for (const RuntimeState& runtime : target.runtimes)
    sum += runtime.cpu_ns / std::max<uint64_t>(runtime.reads, 1);
  return sum;
}

}  // namespace

TimeNs scan_period_for(std::optional<TimeNs> duration) {
  constexpr TimeNs kUsual = 10'000'000'000;
  if (!duration || *duration >= 4 * kUsual) return kUsual;
  return std::max<TimeNs>(*duration / 4, 100'000'000);
}

Sampler::Sampler(KernelSource& kernel, ProcessOpener& processes, SymbolSource& symbols, Clock& clock,
                 SamplerOptions options, Emit emit)
    : world_{kernel, processes, symbols, clock, std::move(options), std::move(emit)} {
  roster_.on_first = [this] { anchor(); };
}

void Sampler::anchor() {
  if (auto anchor = world_.kernel.clock()) world_.tell(*std::move(anchor));
  if (notices_.any_unmet()) notices_.hooks();
  next_anchor_ = world_.clock.now() + kRestatePeriod;
}

void Sampler::handle(const events::Event& event) {
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload))
    return roster_.on_start(event.time, *start);
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload))
    return roster_.on_end(event.time, *end);
  if (const auto* loss = std::get_if<events::Loss>(&event.payload))
    return loss->what == "stack" ? names_.resend() : roster_.on_loss(*loss);
  if (const auto* exit = std::get_if<events::ProcessExit>(&event.payload)) return roster_.on_exit(*exit);
  if (const auto* oom = std::get_if<events::OomVictim>(&event.payload)) {
    if (const Target* target = targets_.find(oom->space)) readings_.cgroup(*target);
  }
  if (const auto* stack = std::get_if<events::Stack>(&event.payload)) {
    Target* target = targets_.find(stack->space);
    if (target != nullptr) names_.resolve(*target, std::span(stack, 1));
  }
}

TimeNs Sampler::next_due() const {
  TimeNs due = next_anchor_ == 0 ? kNever : next_anchor_;
  for (const auto& [space, target] : targets_) due = std::min(due, target->due());
  const TimeNs deserted = roster_.deserted_at();
  return deserted > world_.clock.now() ? std::min(due, deserted) : due;
}

void Sampler::run_due() {
  if (next_anchor_ != 0 && world_.clock.now() >= next_anchor_) anchor();
  std::vector<SpaceId> due;
  for (const auto& [space, target] : targets_) {
    if (target->due() <= world_.clock.now()) due.push_back(space);
  }
  if (!due.empty() && (world_.kernel.govern() || world_.symbols.has_notices())) notices_.hooks();
  for (const SpaceId space : due) {
    // finish() looks at each once more.
    if (world_.options.stop_requested && world_.options.stop_requested()) return;
    if (Target* target = targets_.find(space)) run(*target);
  }
  world_.kernel.settle();
}

void Sampler::run(Target& target) {
  Schedule& schedule = target.schedule;
  const TimeNs now = world_.clock.now();
  const uint64_t cpu_before = world_.clock.thread_cpu_ns();
  const bool meets = schedule.open_at <= now || schedule.confirm_at <= now;
  if (schedule.open_at <= now) roster_.meet(target);
  if (schedule.confirm_at <= now) roster_.confirm(target);
  if (target.foreign) return roster_.end(target.space, events::EndWhy::kDetached);
  const bool tick = schedule.take_tick(now) && !readings_.rests(target);
  if (tick) {
    if (readings_.counters(target))
      runtimes_.read_counters(target);
    else
      schedule.check_at = now;
  }
  const bool restate = schedule.next_restate <= now;
  const bool due = target.scan_due() <= now && !readings_.put_off_scan(target);
  const bool scanned = due && readings_.scan(target, restate, Look::kUsual);
  if (tick || scanned) {
    if (restate) schedule.next_restate = now + kRestatePeriod;
    if (!scanned) readings_.table(target, restate);
    names_.resolve_waiting(target);
    if (restate || (scanned && table_fill_ > 0.75)) readings_.reclaim(target);
  }
  if (schedule.details_at <= now) runtimes_.read_put_off(target);
  if (meets) roster_.spend_on_meeting(now, world_.clock.thread_cpu_ns() - cpu_before);
  if (schedule.check_at <= now) roster_.check(target);
}

void Sampler::restate(const std::vector<SpaceId>& spaces) {
  const TimeNs now = world_.clock.now();
  for (const SpaceId space : spaces) {
    Target* const target = targets_.find(space);
    if (target == nullptr || !target->readable()) continue;
    target->schedule.next_restate = target->schedule.next_scan = now;
  }
  if (!targets_.empty()) anchor();  // what comes next may be read by another clock
}

void Sampler::finish() {
  look_last(targets_.spaces());
  if (world_.symbols.has_notices()) notices_.hooks();
  if (roster_.had_targets()) anchor();
}

void Sampler::finish_new() {
  std::vector<SpaceId> unseen;
  for (const auto& [space, target] : targets_)
    if (target->cost.scans == 0) unseen.push_back(space);
  if (unseen.empty()) return;
  look_last(unseen);
  anchor();
}

void Sampler::look_last(std::vector<SpaceId> spaces) {
  // Where time runs out, few are left: those that take longest come last.
  std::ranges::stable_sort(spaces, {}, [&](SpaceId space) { return cost_of_reading(*targets_.find(space)); });
  size_t left = spaces.size();
  for (const SpaceId space : spaces) {
    if (world_.options.out_of_time && world_.options.out_of_time()) {
      notices_.add(
          fmt::format("The last look at {} of {} processes was left out, because the recording had to end: "
                      "what they had at the end is as of the look before.",
                      left, spaces.size()));
      break;
    }
    --left;
    look_last(*targets_.find(space));
  }
}

void Sampler::look_last(Target& target) {
  if (!target.source) roster_.open(target);
  if (target.pending) roster_.confirm(target);
  if (!target.source || target.foreign) return;
  RuntimeReader::allow_details(target);  // how it ended is read whole
  if (!readings_.counters(target) || !readings_.scan(target, false, Look::kLast))
    readings_.table(target, false);
  runtimes_.tell_shares(target);
  names_.resolve_waiting(target);
  names_.give_up(target);
}

void Sampler::release() {
  names_.resend();  // the inbox may have had no room for the Loss
  for (const auto& [space, target] : targets_) {
    static_cast<void>(world_.kernel.untrace(space));
    world_.symbols.forget(space);
  }
  world_.kernel.settle();
  if (world_.kernel.govern() || notices_.any_unmet()) notices_.hooks();
  targets_.clear();
}

uint64_t Sampler::rss_bytes() const {
  uint64_t sum = 0;
  for (const auto& [space, target] : targets_) sum += target->rss_bytes;
  return sum;
}

std::vector<TargetCost> Sampler::costs() const {
  std::vector<TargetCost> costs;
  costs.reserve(targets_.size());
  for (const auto& [space, target] : targets_) {
    TargetCost& cost = costs.emplace_back(target->cost);
    for (const RuntimeState& runtime : target->runtimes)
      cost.runtimes.push_back({runtime.name, runtime.reads, runtime.cpu_ns});
  }
  return costs;
}

}  // namespace memwhy::record
