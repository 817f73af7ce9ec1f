// SPDX-License-Identifier: Apache-2.0
#include "record/intake.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "events/visit.h"

namespace memwhy::record {
namespace {

// What becomes of an event that is drained: whether the sampler has to know of it (lives, names, losses), and the word that
// Loss has for it when it did not arrive.
struct Fate {
  bool to_sampler = false;
  const char* loss = "queue";
};

Fate fate_of(const events::Event& event) {
  using namespace events;
  Fate fate;
  const auto sampler = [&](const char* loss) { fate = {true, loss}; };
  std::visit(
      Overloaded{[&](const SpaceStart& e) { sampler(e.how == StartHow::kExeced ? "exec" : "fork"); },
                 [&](const SpaceEnd&) { sampler("exit"); }, [&](const ProcessExit&) { sampler("exit"); },
                 [&](const Stack&) { sampler("stack"); }, [&](const Loss&) { sampler("queue"); },
                 [&](const OomVictim&) { sampler("queue"); },
                 [&](const VmaUnmapped&) { fate.loss = "removal"; },
                 [&](const VmaMoved&) { fate.loss = "removal"; },
                 LeaveAlone<RecordingInfo, ClockAnchor, HookReport, Coverage, RecordingEnd, BinaryInfo,
                            SymbolInfo, ThreadList, Counters, VmaList, PageScan, PageTableRuns, VmaMapped,
                            VmaAdvised, HeapGrown, GoStatistics, GoReading, GoProfile, GoGoroutines, GoCall,
                            RuntimePages, AllocatorHeap, CgroupMemory, AllocationCall>{}},
      event.payload);
  return fate;
}

}  // namespace

Intake::Intake(KernelSource& kernel, Clock& clock, EventQueue& queue, Notify notify)
    : kernel_(kernel),
      clock_(clock),
      queue_(queue),
      notify_(std::move(notify)),
      young_([this](events::Event event) { accept(std::move(event)); },
             [this](TimeNs time, SpaceId space) { over(time, space); }) {}

// A space that was never emitted: the kernel side's entries of it are given back.
void Intake::over(TimeNs time, SpaceId space) {
  static_cast<void>(notify_({time, events::SpaceEnd{space, events::EndWhy::kExited}}));
}

void Intake::accept(events::Event event) {
  const Fate fate = fate_of(event);
  const auto* stack = std::get_if<events::Stack>(&event.payload);
  const StackId id = stack == nullptr ? StackId::kNone : stack->id;
  const SpaceId space = stack == nullptr ? SpaceId::kNone : stack->space;
  uint64_t lost = fate.to_sampler && !notify_(event) ? 1 : 0;
  if (!queue_.try_push(std::move(event))) ++lost;
  if (lost == 0) return;
  count_loss(fate.loss, lost);
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
