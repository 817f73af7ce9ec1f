// SPDX-License-Identifier: Apache-2.0
// CgroupMemory as a line of an event script, in both directions. The grammar is in event_script.h.
#pragma once

#include <string>

#include "events/event.h"
#include "support/event_script_words.h"

namespace memwhy::testing {

events::CgroupMemory parse_cgroup_memory(Words& words);
std::string format_cgroup_memory(const events::CgroupMemory& event);  // without the time

}  // namespace memwhy::testing
