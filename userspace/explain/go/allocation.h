// SPDX-License-Identifier: Apache-2.0
// How much a Go program allocates, by size class (the runtime's own counters), and where (probes on objects that its heap
// profile samples). What is in use: story.h.
#pragma once

#include <optional>
#include <vector>

#include "explain/go/facts.h"
#include "explain/stack_table.h"

namespace memwhy::explain {

// nullopt: one of them was not read, or the counters fell.
std::optional<GoAllocationRates> rates_between(const timeline::GoPoint& before, const timeline::GoPoint& now);
// From the first reading to the last.
std::optional<GoAllocationRates> allocation_rates(const std::vector<timeline::GoPoint>& curve);

GoAllocationSites allocation_sites(const GoFacts& go, StackTable& table);

}  // namespace memwhy::explain
