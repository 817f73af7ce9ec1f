// SPDX-License-Identifier: Apache-2.0
// Lives: the last station before the EventSink. Each address space starts before it ends and ends once, a stack is
// emitted once, and again when more is known of it, and time does not go back.
//
// An end comes twice where both the kernel and the sampler saw it, and never where an exec replaced the space; a stack comes
// once for each space that needs its names. That can be corrected only here, where all events pass in order.
#pragma once

#include <array>
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
  // How each stack was found when it was reported last, and one; 0: it was not yet. By StackId, in blocks: the ids of one
  // recording have gaps where others share the probe.
  //   ids 8,190 to 8,200  ->  block 1: 4,094 and 4,095, block 2: 0 to 8
  std::unordered_map<uint32_t, std::array<uint8_t, 4096>> reported_;
  TimeNs last_ = 0;
  uint64_t late_ = 0;
};

}  // namespace memwhy::record
