// SPDX-License-Identifier: Apache-2.0
#include "record/lives.h"

namespace memwhy::record {

void Lives::pass(events::Event event) {
  if (event.time < last_) {
    event.time = last_;
    ++late_;
  }
  last_ = event.time;
  if (late_ != 0 && std::holds_alternative<events::RecordingEnd>(event.payload))
    sink_.on_event({event.time, events::Loss{SpaceId::kNone, "time of an event (it came too late)", late_}});
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
    // The old space is over, unless a vfork child left its parent's.
    const auto old = living_.find(start->parent);
    if (start->how == events::StartHow::kExeced && old != living_.end() && old->second == start->tgid &&
        start->parent != start->space) {
      living_.erase(old);
      sink_.on_event({event.time, events::SpaceEnd{start->parent, events::EndWhy::kExeced}});
    }
    living_[start->space] = start->tgid;
  }
  if (const auto* end = std::get_if<events::SpaceEnd>(&event.payload)) {
    if (living_.erase(end->space) == 0) return;
  }
  if (const auto* stack = std::get_if<events::Stack>(&event.payload)) {
    const auto id = static_cast<uint32_t>(stack->id);
    const auto how = static_cast<uint8_t>(static_cast<uint8_t>(stack->unwind) + 1);
    uint8_t& reported = reported_[id / 4096][id % 4096];
    if (reported == how) return;
    reported = how;
  }
  sink_.on_event(event);
}

}  // namespace memwhy::record
