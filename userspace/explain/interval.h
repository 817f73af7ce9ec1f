// SPDX-License-Identifier: Apache-2.0
// Interval: a part of a recording, explained as if it had been recorded alone, but with the knowledge of the whole: pages that
// came before have their stacks, and names that were read later are used.
//
//   recording   0 s ............. 60 s ................ 90 s ........ 120 s
//   interval                      from                  to
//   events      pages, evidence | all of them         | names, clocks, the recording's end: as of `to`
//   series                        begin with the last point before `from`
//
// What it is not: a view of pages between two scans. The ledger is of the last scan up to `to`.
#pragma once

#include <limits>

#include "events/event.h"
#include "explain/explainer.h"

namespace memwhy::explain {

struct Interval {
  TimeNs from = 0;
  TimeNs to = std::numeric_limits<TimeNs>::max();
};

class IntervalSink : public events::EventSink {
 public:
  // `explainer` must outlive it.
  IntervalSink(Explainer& explainer, Interval interval) : explainer_(explainer), interval_(interval) {}
  void on_event(const events::Event& event) override;

 private:
  Explainer& explainer_;
  const Interval interval_;
  bool begun_ = false;
};

}  // namespace memwhy::explain
