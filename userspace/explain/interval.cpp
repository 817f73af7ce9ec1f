// SPDX-License-Identifier: Apache-2.0
#include "explain/interval.h"

#include <variant>

#include "events/visit.h"

namespace memwhy::explain {
namespace {

// Whether a later event describes what existed before.
bool holds_for_before(const events::Payload& payload, const timeline::Timeline& timeline) {
  using namespace events;
  bool holds = false;
  std::visit(
      Overloaded{[&](const BinaryInfo&) { holds = true; }, [&](const SymbolInfo&) { holds = true; },
                 [&](const Stack&) { holds = true; }, [&](const RecordingInfo&) { holds = true; },
                 [&](const ClockAnchor&) { holds = true; }, [&](const RecordingEnd&) { holds = true; },
                 [&](const SpaceStart& e) { holds = timeline.space(e.space) != nullptr; },
                 LeaveAlone<HookReport, Coverage, Loss, SpaceEnd, ProcessExit, OomVictim, ThreadList,
                            Counters, VmaList, PageScan, PageTableRuns, VmaMapped, VmaUnmapped, VmaAdvised,
                            VmaMoved, HeapGrown, GoStatistics, GoReading, GoProfile, GoGoroutines, GoCall,
                            RuntimePages, AllocatorHeap, CgroupMemory, AllocationCall>{}},
      payload);
  return holds;
}

}  // namespace

void IntervalSink::on_event(const events::Event& event) {
  if (!begun_ && interval_.from != 0 && event.time >= interval_.from) {
    explainer_.begin(interval_.from);
    begun_ = true;
  }
  if (event.time <= interval_.to) return explainer_.on_event(event);
  if (holds_for_before(event.payload, explainer_.timeline()))
    explainer_.on_event({interval_.to, event.payload});
}

}  // namespace memwhy::explain
