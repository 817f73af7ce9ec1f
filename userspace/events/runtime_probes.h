// SPDX-License-Identifier: Apache-2.0
// What to probe in a runtime: one alternative for each runtime that has probes. Not an event.
#pragma once

#include <variant>

#include "events/allocation.h"
#include "events/go_probe.h"

namespace memwhy::events {

using RuntimeProbes = std::variant<GoProbePlan, AllocationProbePlan>;

}  // namespace memwhy::events
