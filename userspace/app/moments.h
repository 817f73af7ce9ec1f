// SPDX-License-Identifier: Apache-2.0
// Moments of a recording as people write them, and the part of a recording between two of them. Not live: a moment is found
// in a file.
//
//   recorded 12:00:00 to 12:10:00    +30s  12:00:30      -5m  12:05:00      2026-11-29T12:03:00Z  12:03:00
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "explain/interval.h"
#include "trace/reader.h"

namespace memwhy::app {

struct Moment {
  enum class Since : uint8_t { kStart, kEnd, kEpoch } since = Since::kStart;
  std::chrono::nanoseconds time{0};  // kEnd: before it
  std::chrono::nanoseconds unit{0};  // kEpoch: one of the last digit; the moment as printed begins with it
  std::string text;                  // as it was written
};

// "+30s" (or "30s") after the start, "-5m" before the end, RFC 3339 with Z or an offset. nullopt: none of them.
std::optional<Moment> parse_moment(std::string_view text);

// What --from and --to are for a recording.
struct Part {
  std::optional<Moment> from, to;
  bool whole() const { return !from && !to; }
};
void add_part_options(CLI::App& command, Part& part, const char* from, const char* to);

// Reads the file once, unless the part is all of it. kUsage: a moment is not within the recording, or `from` is not before
// `to`; kBadInput as Reader::read_all.
Result<explain::Interval> interval_of(const trace::Reader& reader, const Part& part);

}  // namespace memwhy::app
