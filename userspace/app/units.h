// SPDX-License-Identifier: Apache-2.0
// Sizes and durations as people write them, both ways. Not for numbers in JSON: those are plain.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memwhy::app {

// "4096", "64K", "500M", "1G", "2T" (also KiB, kb …): 1024 each. nullopt: not a size, or above 2^63.
std::optional<uint64_t> parse_size(std::string_view text);

// "30", "30s", "1.5s", "250ms", "5m", "2h", "3d". nullopt: not a duration, negative, or above 100 years.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// "5%", "0.05", "0": from 0 to 1. nullopt: not a share.
std::optional<double> parse_share(std::string_view text);

std::string duration_text(std::chrono::nanoseconds duration);  // "1 h 02 min", "18 s"
std::string utc_text(int64_t realtime_ns);                     // "2026-11-29T12:03:00Z"

}  // namespace memwhy::app
