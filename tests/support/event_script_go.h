// SPDX-License-Identifier: Apache-2.0
// The events of the Go runtime as lines of an event script, in both directions. The grammar is in
// event_script.h.
#pragma once

#include <string>
#include <vector>

#include "events/go_probe.h"
#include "events/go_runtime.h"
#include "support/event_script_words.h"

namespace memwhy::testing {

events::GoStatistics parse_go_statistics(Words& words);
events::GoHeap parse_go_heap(Words& words, std::vector<Words>& items, uint64_t scan);
events::GoProfile parse_go_profile(Words& words, std::vector<Words>& items);
events::GoGoroutines parse_goroutines(Words& words, std::vector<Words>& items);
events::GoFunction parse_go_function(Words& words);

// Without the time.
std::string format_go(const events::GoStatistics& event);
std::string format_go(const events::GoHeap& event);
std::string format_go(const events::GoProfile& event);
std::string format_go(const events::GoGoroutines& event);

}  // namespace memwhy::testing
