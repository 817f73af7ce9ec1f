// SPDX-License-Identifier: Apache-2.0
// AllocatorHeap as a line of an event script, in both directions. The grammar is in event_script.h.
#pragma once

#include <string>

#include "events/event.h"
#include "support/event_script_words.h"

namespace memwhy::testing {

events::AllocatorHeap parse_allocator_heap(Words& words, uint64_t scan);
std::string format_allocator_heap(const events::AllocatorHeap& event);  // without the time

}  // namespace memwhy::testing
