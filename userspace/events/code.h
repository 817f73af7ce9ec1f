// SPDX-License-Identifier: Apache-2.0
// Which code an event names by address, and which stacks by id: these must be defined before the event is emitted, and defined
// again in each later part of a recording. One table for both, without a default: a new kind of event without its line does
// not compile. SymbolInfo and Stack are themselves definitions, and are listed with the events that name none.
#pragma once

#include <span>
#include <variant>

#include "events/event.h"
#include "events/visit.h"

namespace memwhy::events {

// f(addresses, first_is_exact): one stack after the other, innermost first. First exact: the first address is an
// instruction, else it is a return address as the others are.
template <typename F>
void for_each_code(const Payload& payload, F&& f) {
  std::visit(Overloaded{[&](const GoProfile& e) {
                          for (const GoBucket& bucket : e.buckets) f(std::span(bucket.stack), false);
                        },
                        [&](const GoGoroutines& e) {
                          for (const GoGroup& group : e.groups) {
                            f(std::span(group.frames), true);
                            f(std::span(&group.created_at, 1), false);
                            for (const GoKeptObject& object : group.large)
                              f(std::span(object.allocated_at), false);
                          }
                          if (!e.held) return;
                          for (const GoHolder& holder : e.held->holders) {
                            f(std::span(holder.frames), true);
                            f(std::span(&holder.created_at, 1), false);
                            for (const GoKeptObject& object : holder.large)
                              f(std::span(object.allocated_at), false);
                          }
                        },
                        LeaveAlone<RecordingInfo, ClockAnchor, HookReport, Coverage, RecordingEnd, BinaryInfo,
                                   SymbolInfo, SpaceStart, SpaceEnd, ProcessExit, OomVictim, ThreadList,
                                   Counters, VmaList, PageScan, PageTableRuns, Stack, VmaMapped, VmaUnmapped,
                                   VmaAdvised, VmaMoved, HeapGrown, Loss, GoStatistics, GoReading, GoCall,
                                   RuntimePages, AllocatorHeap, CgroupMemory, AllocationCall>{}},
             payload);
}

// f(StackId) for each stack that the event names; neighbours that are equal once.
template <typename F>
void for_each_stack(const Payload& payload, F&& f) {
  const auto call = [&](const auto& e) { f(e.stack); };
  std::visit(Overloaded{[&](const PageTableRuns& e) {
                          StackId last{};
                          for (const TableRun& run : e.runs) {
                            if (run.stack != last) f(run.stack);
                            last = run.stack;
                          }
                        },
                        [&](const VmaMapped& e) { call(e); }, [&](const VmaUnmapped& e) { call(e); },
                        [&](const VmaAdvised& e) { call(e); }, [&](const VmaMoved& e) { call(e); },
                        [&](const HeapGrown& e) { call(e); }, [&](const GoCall& e) { call(e); },
                        [&](const AllocationCall& e) { call(e); },
                        LeaveAlone<RecordingInfo, ClockAnchor, HookReport, Coverage, RecordingEnd, BinaryInfo,
                                   SymbolInfo, SpaceStart, SpaceEnd, ProcessExit, OomVictim, ThreadList,
                                   Counters, VmaList, PageScan, Stack, Loss, GoStatistics, GoReading,
                                   GoProfile, GoGoroutines, RuntimePages, AllocatorHeap, CgroupMemory>{}},
             payload);
}

}  // namespace memwhy::events
