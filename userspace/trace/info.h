// SPDX-License-Identifier: Apache-2.0
// What `memwhy info FILE` prints: the facts of a recording, without explaining it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trace/reader.h"

namespace memwhy::trace {

struct TargetInfo {
  events::SpaceStart start;  // the last statement of its identity
  TimeNs first_seen = 0;
  std::optional<TimeNs> end;  // absent: still there when the recording ended
  uint64_t scans = 0;
};

struct FileInfo {
  ReadSummary summary;
  std::optional<events::RecordingInfo> recording;
  std::optional<events::HookReport> hooks;                    // the last one
  std::optional<events::Coverage> coverage;                   // the last one
  std::optional<int64_t> start_realtime_ns, end_realtime_ns;  // by the recording's own anchors
  std::vector<TargetInfo> targets;                            // in order of first sight, at most 10,000
  uint64_t targets_left_out = 0;
  uint64_t lost_events = 0;  // the sum of Loss events: what the recorder knew it did not see
};

// kBadInput as Reader::read_all.
Result<FileInfo> info(const Reader& reader);

}  // namespace memwhy::trace
