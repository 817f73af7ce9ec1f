// SPDX-License-Identifier: Apache-2.0
// Times of a recording as RFC 3339 in UTC, by the recording's own clock anchor. Not this machine's clock.
#pragma once

#include <optional>
#include <string>

#include "events/recording.h"

namespace memwhy::report {

// Nanoseconds since 1970; nullopt without an anchor.
std::optional<uint64_t> realtime_ns(const std::optional<events::ClockAnchor>& anchor, TimeNs monotonic_ns);
// "2026-03-01T12:00:00.250Z"; nullopt without an anchor.
std::optional<std::string> rfc3339(const std::optional<events::ClockAnchor>& anchor, TimeNs monotonic_ns);
// The same for a time on CLOCK_BOOTTIME (the start of a process).
std::optional<std::string> rfc3339_boottime(const std::optional<events::ClockAnchor>& anchor,
                                            uint64_t boottime_ns);

}  // namespace memwhy::report
