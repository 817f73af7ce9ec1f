// SPDX-License-Identifier: Apache-2.0
// Joining the parts of a ring: one stream of events, as if it had been one recording from the first part on.
//
//   ring.3.memwhy  info(part 3) prologue(restated) events …     all of it; info says part 0
//   ring.4.memwhy  info(part 4) prologue(restated) events …     without what is restated
//   ring.5.memwhy  …, still written: up to its last whole chunk
//   then           RecordingEnd "growth"
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "events/event.h"

namespace memwhy::agent {

struct Joined {
  size_t parts = 0;
  TimeNs first = 0, last = 0;
  std::vector<std::string> damage;  // sentences; an end that is cut off is none
};

// kBadInput: none of the parts can be read. Parts that are gone are left out, and the first one that is there opens the stream.
Result<Joined> join(const std::vector<std::string>& parts, const std::string& why, events::EventSink& to);

}  // namespace memwhy::agent
