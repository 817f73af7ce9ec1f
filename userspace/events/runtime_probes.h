// SPDX-License-Identifier: Apache-2.0
// What is to be probed in a runtime: one alternative for each runtime that has probes. No event.
#pragma once

#include <variant>

#include "events/go_probe.h"

namespace memwhy::events {

using RuntimeProbes = std::variant<GoProbePlan>;

}  // namespace memwhy::events
