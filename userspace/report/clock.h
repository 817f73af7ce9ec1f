// SPDX-License-Identifier: Apache-2.0
// Times of a recording as RFC 3339 in UTC, by the recording's own clock anchors (timeline/wall_clock.h). Not this machine's clock.
#pragma once

#include <optional>
#include <string>

#include "timeline/wall_clock.h"

namespace memwhy::report {

// "2026-03-01T12:00:00.250Z"; nullopt without an anchor.
std::optional<std::string> rfc3339(const timeline::WallClock& clock, TimeNs monotonic_ns);
// The same for a time on CLOCK_BOOTTIME (the start of a process).
std::optional<std::string> rfc3339_boottime(const timeline::WallClock& clock, uint64_t boottime_ns);

}  // namespace memwhy::report
