// SPDX-License-Identifier: Apache-2.0
#include "record/intake.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

namespace memwhy::record {
namespace {

// What the sampler has to know of: lives, names, losses.
bool concerns_sampler(const events::Event& event) {
  return std::visit(
      [](const auto& payload) {
        using T = std::decay_t<decltype(payload)>;
        return std::is_same_v<T, events::SpaceStart> || std::is_same_v<T, events::SpaceEnd> ||
               std::is_same_v<T, events::ProcessExit> || std::is_same_v<T, events::Stack> ||
               std::is_same_v<T, events::Loss>;
      },
      event.payload);
}

// The word that Loss has for an event that did not arrive.
std::string loss_word(const events::Event& event) {
  return std::visit(
      [](const auto& payload) -> std::string {
        using T = std::decay_t<decltype(payload)>;
        if constexpr (std::is_same_v<T, events::VmaUnmapped> || std::is_same_v<T, events::VmaMoved>)
          return "removal";
        if constexpr (std::is_same_v<T, events::SpaceStart>) {
          return payload.how == events::StartHow::kExeced ? "exec" : "fork";
        }
        if constexpr (std::is_same_v<T, events::SpaceEnd> || std::is_same_v<T, events::ProcessExit>)
          return "exit";
        if constexpr (std::is_same_v<T, events::Stack>) return "stack";
        return "queue";
      },
      event.payload);
}

}  // namespace

Intake::Intake(KernelSource& kernel, Clock& clock, EventQueue& queue, Notify notify)
    : kernel_(kernel),
      clock_(clock),
      queue_(queue),
      notify_(std::move(notify)),
      young_([this](events::Event event) { accept(std::move(event)); },
             [this](TimeNs time, SpaceId space) { over(time, space); }) {}

// A space of which nobody was told: what the kernel side has of it is given back.
void Intake::over(TimeNs time, SpaceId space) {
  static_cast<void>(notify_({time, events::SpaceEnd{space, events::EndWhy::kExited}}));
}

void Intake::accept(events::Event event) {
  const std::string word = loss_word(event);
  const auto* stack = std::get_if<events::Stack>(&event.payload);
  const StackId id = stack == nullptr ? StackId::kNone : stack->id;
  const SpaceId space = stack == nullptr ? SpaceId::kNone : stack->space;
  uint64_t lost = concerns_sampler(event) && !notify_(event) ? 1 : 0;
  if (!queue_.try_push(std::move(event))) ++lost;
  if (lost == 0) return;
  count_loss(word, lost);
  if (id != StackId::kNone) kernel_.lost_stack(id, space);
}

void Intake::poll() {
  kernel_.drain([this](events::Event event) { young_.take(std::move(event)); });
  const TimeNs now = clock_.now();
  young_.grow_up(now);
  if (now >= next_coverage_) {
    next_coverage_ = coverage_ ? std::max(next_coverage_ + kCoveragePeriod, now + kCoveragePeriod / 2)
                               : now + kCoveragePeriod;
    read_coverage(now);
    tell_children(now);
  }
  report_losses(now);
}

void Intake::finish() {
  kernel_.drain([this](events::Event event) { young_.take(std::move(event)); });
  young_.let_all_go();
  tell_children(clock_.now());
  coverage_ = kernel_.coverage();
  queue_.push({clock_.now(), *coverage_});
  for (const auto& [what, count] : std::exchange(unreported_, {})) {
    events::Event event{clock_.now(), events::Loss{SpaceId::kNone, what, count}};
    static_cast<void>(notify_(event));
    queue_.push(std::move(event));
  }
}

// To the sampler only, which puts it into words.
void Intake::tell_children(TimeNs now) {
  const uint64_t more = young_.not_told() - children_told_;
  if (more != 0 && notify_({now, events::Loss{SpaceId::kNone, kShortChild, more}})) children_told_ += more;
}

void Intake::read_coverage(TimeNs now) {
  events::Coverage coverage = kernel_.coverage();
  if (coverage_ && now >= coverage_time_ + kPollPeriod) {
    faults_per_s_ = static_cast<double>(coverage.faults_seen - coverage_->faults_seen) * 1e9 /
                    static_cast<double>(now - coverage_time_);
  }
  coverage_ = coverage;
  coverage_time_ = now;
  // Cumulative: one that finds no room is made good by the next.
  static_cast<void>(queue_.try_push({now, std::move(coverage)}));
}

void Intake::report_losses(TimeNs now) {
  for (auto loss = unreported_.begin(); loss != unreported_.end();) {
    events::Event event{now, events::Loss{SpaceId::kNone, loss->first, loss->second}};
    const bool told = notify_(event) && queue_.try_push(std::move(event));
    loss = told ? unreported_.erase(loss) : std::next(loss);
  }
}

uint64_t Intake::lost() const {
  uint64_t sum = dropped_;
  if (coverage_) {
    for (const events::KindCount& kind : coverage_->kinds) sum += kind.lost;
  }
  return sum;
}

void Intake::count_loss(const std::string& what, uint64_t count) {
  unreported_[what] += count;
  dropped_ += count;
}

}  // namespace memwhy::record
