// SPDX-License-Identifier: Apache-2.0
// A recording, or a part of it, as an Explanation: shared by all commands that read one. Neither the limits (file_limits.h) nor
// the output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "explain/compare/limits.h"
#include "explain/explanation.h"
#include "explain/interval.h"
#include "trace/reader.h"

namespace memwhy::app {

class DebugNames;
struct Part;

// Damage is logged to stderr. `profile_bytes`: of a heap profile from the user. `names`: completes the recording's names.
Result<explain::Explanation> explained(const trace::Reader& reader, const explain::Interval& interval = {},
                                       std::optional<uint64_t> profile_bytes = std::nullopt,
                                       DebugNames* names = nullptr);
Result<explain::Explanation> explained(const std::string& path, const explain::Interval& interval = {});

struct ExplainedSide {
  std::string name;
  explain::Explanation explanation;
};
// A recording as of two moments, each with all that was seen before. kUsage as interval_of().
Result<std::vector<ExplainedSide>> two_moments(const trace::Reader& reader, const std::string& name,
                                               const Part& part);

// kUnmet: the first sentence, and how many more there are. Ok: none.
Status unmet(const std::vector<explain::BrokenLimit>& broken);
// --fail-on: ids of findings. kUsage: one that no finding has.
Status check_finding_ids(const std::vector<std::string>& ids);

}  // namespace memwhy::app
