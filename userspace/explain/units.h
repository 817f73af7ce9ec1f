// SPDX-License-Identifier: Apache-2.0
// Rates, shares and durations as words in a sentence; base/text.h has bytes.
#pragma once

#include <string>

namespace memwhy::explain {

std::string human_rate_per_min(double bytes_per_s);  // "+96.0 MiB/min", "-1.0 KiB/min"
std::string human_share(double share);               // 0.842 → "84 %"
std::string human_seconds(double seconds);           // "2.5 s", "10 s", "3 min", "2.5 h"

}  // namespace memwhy::explain
