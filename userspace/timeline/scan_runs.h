// SPDX-License-Identifier: Apache-2.0
// The runs of a page scan as the model needs them: in order of page, each page once. A live scan always is so; a damaged
// trace may not be.
#pragma once

#include <vector>

#include "events/event.h"

namespace memwhy::timeline {

bool in_order(const std::vector<events::ScanRun>& runs);
std::vector<events::ScanRun> put_in_order(std::vector<events::ScanRun> runs);

}  // namespace memwhy::timeline
