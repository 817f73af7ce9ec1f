// SPDX-License-Identifier: Apache-2.0
// Lives: the last station before the EventSink. Each address space starts before it ends and ends once, a stack is
// defined once, and time does not go back.
//
// An end comes twice where both the kernel and the sampler saw it, and never where an exec replaced the space; a stack comes
// once for each space that needs its names. Only here, where all events pass in order, can that be corrected.
#pragma once

#include <bitset>
#include <unordered_map>

#include "events/event.h"

namespace memwhy::record {

class Lives {
 public:
  explicit Lives(events::EventSink& sink) : sink_(sink) {}

  // An event that comes after a later one has left gets that one's time; a Loss before RecordingEnd counts them.
  void pass(events::Event event);

 private:
  events::EventSink& sink_;
  std::unordered_map<SpaceId, Pid> living_;
  // A bit for each StackId that was defined, in blocks: the ids of one recording have gaps where others share the probe.
  //   ids 8,190 to 8,200  ->  block 1: bits 4,094 and 4,095, block 2: bits 0 to 8
  std::unordered_map<uint32_t, std::bitset<4096>> defined_;
  TimeNs last_ = 0;
  uint64_t late_ = 0;
};

}  // namespace memwhy::record
