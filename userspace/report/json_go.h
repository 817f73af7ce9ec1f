// SPDX-License-Identifier: Apache-2.0
// The Go parts of the JSON: settings, totals, goroutines, counters on the timeline. Null where nothing is known.
// `indexes`: with the index of each stack and frame in the process's table, beside its text.
#pragma once

#include <nlohmann/json.hpp>

#include "explain/explanation.h"

namespace memwhy::report {

nlohmann::ordered_json go_summary(const explain::ProcessExplanation& process,
                                  const timeline::WallClock& clock, bool indexes);
// What is known of a collection beside its text.
nlohmann::ordered_json go_cycle(const std::optional<explain::GoCycle>& cycle);
nlohmann::ordered_json go_heap_reading(const std::optional<explain::GoHeapReading>& reading);
nlohmann::ordered_json go_point(const std::optional<explain::GoTimelinePoint>& point);
// Sampled calls of malloc and its kind; null: none.
nlohmann::ordered_json allocations(const explain::ProcessExplanation& process);
nlohmann::ordered_json go_calls(const explain::ProcessExplanation& process, const timeline::WallClock& clock,
                                bool indexes);
nlohmann::ordered_json goroutines(const explain::ProcessExplanation& process,
                                  const timeline::WallClock& clock, bool indexes);

}  // namespace memwhy::report
