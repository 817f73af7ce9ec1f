// SPDX-License-Identifier: Apache-2.0
// Ring records -> events. Bytes in, values out; no kernel needed.
#pragma once

#include <cstddef>
#include <vector>

#include "events/event.h"
#include "memwhy/abi/event.h"
#include "probe/stack_table.h"

namespace memwhy::probe {

// Appends the record's events to `out`, first the stacks that it names and that this port does not have yet. false: too
// short for its kind, or of no known kind.
bool decode(const void* record, size_t bytes, StackTable& stacks, std::vector<events::Event>& out,
            uint32_t port = 0);

// "vma_map", "space_fork" …
const char* kind_name(mw_event_kind kind);

// What the loss of such a record means to a recording: "removal" forces a rescan.
const char* loss_name(mw_event_kind kind);

}  // namespace memwhy::probe
