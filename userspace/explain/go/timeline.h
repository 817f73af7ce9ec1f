// SPDX-License-Identifier: Apache-2.0
// A Go program on the timeline: its counters at the points, and what happened to its heap as events: collections, memory
// given back, settings that changed. Steps of the heap: steps.h.
#pragma once

#include <vector>

#include "explain/go/facts.h"

namespace memwhy::explain {

// At the points within half a second of a reading.
void add_go_points(const GoFacts& go, std::vector<TimelinePoint>& timeline);
// Of a layout that is trusted. Keeps the events in order of time.
void add_go_events(const GoFacts& go, ProcessExplanation& out);

}  // namespace memwhy::explain
