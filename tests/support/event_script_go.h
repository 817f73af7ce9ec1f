// SPDX-License-Identifier: Apache-2.0
// The events of the Go runtime as lines of an event script, in both directions. The grammar is in
// event_script.h.
#pragma once

#include <string>
#include <vector>

#include "events/event.h"
#include "events/go_probe.h"
#include "support/event_script_words.h"

namespace memwhy::testing {

events::GoStatistics parse_go_statistics(Words& words);
// GoReading and the RuntimePages of Go that come with it.
std::vector<events::Payload> parse_go_heap(Words& words, std::vector<Words>& items, uint64_t scan);
events::GoReading parse_go_reading(Words& words, uint64_t scan);
events::RuntimePages parse_runtime_pages(Words& words, std::vector<Words>& items, uint64_t scan);
events::GoProfile parse_go_profile(Words& words, std::vector<Words>& items);
events::GoGoroutines parse_goroutines(Words& words, std::vector<Words>& items);
events::GoFunction parse_go_function(Words& words);

// Without the time.
std::string format_go(const events::GoStatistics& event);
std::string format_go(const events::GoReading& event);
std::string format_runtime_pages(const events::RuntimePages& event);
std::string format_go(const events::GoProfile& event);
std::string format_go(const events::GoGoroutines& event);

}  // namespace memwhy::testing
