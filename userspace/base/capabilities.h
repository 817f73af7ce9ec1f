// SPDX-License-Identifier: Apache-2.0
// Giving up capabilities, for the calling thread and whatever it starts. Which ones are kept, and why, is documented by
// the callers (app/privilege.h, files/sandbox.h). Capabilities are bits: CAP_KILL is 1 << 5.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace memwhy {

// Those not in `kept` can't be regained by executing a program. Needs CAP_SETPCAP; without it nothing happens.
void cut_bounding_set(uint64_t kept);

// Of those that are permitted, these stay permitted and take effect; none is inherited. kEnvironment.
Status keep_capabilities(uint64_t kept);

}  // namespace memwhy
