// SPDX-License-Identifier: Apache-2.0
// Intake: one look at the kernel side's ring. No thread of its own: Session calls poll() every 50
// ms.
//
// It never waits, except at the end. An event for which the queue has no room is dropped and counted by its kind; the count
// becomes a Loss as soon as there is room. Every Loss, including the kernel side's, is passed to the sampler, which reads
// again what can be read again. Events of a child in a storm of forks wait in Young. Lost stacks are sent again; that waits
// for room, so that none is lost twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "events/event.h"
#include "events/order.h"
#include "record/clock.h"
#include "record/event_queue.h"
#include "record/sources.h"
#include "record/young.h"

namespace memwhy::record {

constexpr TimeNs kPollPeriod = events::kPollEvery;
constexpr TimeNs kCoveragePeriod = 1'000'000'000;

class Intake {
 public:
  // false: the sampler has no room for the notice.
  using Notify = std::function<bool(events::Event)>;

  Intake(KernelSource& kernel, Clock& clock, EventQueue& queue, Notify notify);

  void poll();
  // The last look: the ring, coverage, and what was lost. These two wait for room: nothing would make them good.
  void finish();

  const std::optional<events::Coverage>& coverage() const { return coverage_; }
  double faults_per_s() const { return faults_per_s_; }
  // What the kernel side had no room for, as of the last coverage, and what was dropped here.
  uint64_t lost() const;

 private:
  void accept(events::Event event);
  void over(TimeNs time, SpaceId space);
  void tell_children(TimeNs now);
  void read_coverage(TimeNs now);
  void report_losses(TimeNs now);
  void count_loss(const std::string& what, uint64_t count);

  KernelSource& kernel_;
  Clock& clock_;
  EventQueue& queue_;
  Notify notify_;
  TimeNs next_coverage_ = 0;
  TimeNs coverage_time_ = 0;
  std::optional<events::Coverage> coverage_;
  double faults_per_s_ = 0;
  std::map<std::string, uint64_t> unreported_;  // what -> count; a handful of keys
  uint64_t dropped_ = 0;
  Young young_;
  uint64_t children_told_ = 0;  // of young_.not_told()
};

}  // namespace memwhy::record
