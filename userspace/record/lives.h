// SPDX-License-Identifier: Apache-2.0
// Lives: the last station before the EventSink. Each address space starts before it ends and ends once, a stack is
// told once, and again when more is known of it, and time does not go back.
//
// An end is told twice where both the kernel and the sampler saw it, and not at all where an exec replaced
// the space; a stack is given once for each space that has to have its names. Only here, where everything passes in
// order, can that be put right.
#pragma once

#include <unordered_map>
#include <vector>

#include "events/event.h"

namespace memwhy::record {

class Lives {
 public:
  explicit Lives(events::EventSink& sink) : sink_(sink) {}

  // An event that comes after a later one has left gets that one's time; how many there were is told before RecordingEnd.
  void pass(events::Event event);

 private:
  events::EventSink& sink_;
  std::unordered_map<SpaceId, Pid> living_;
  // By StackId, which are given in order: how it was found when it was told last, and one; 0: it was not told yet.
  std::vector<uint8_t> told_;
  TimeNs last_ = 0;
  uint64_t late_ = 0;
};

}  // namespace memwhy::record
