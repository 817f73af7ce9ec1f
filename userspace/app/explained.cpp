// SPDX-License-Identifier: Apache-2.0
#include "app/explained.h"

#include <fmt/format.h>

#include "app/debug_names.h"
#include "app/moments.h"
#include "app/runtimes.h"
#include "app/terminal.h"
#include "explain/explainer.h"

namespace memwhy::app {

Result<explain::Explanation> explained(const trace::Reader& reader, const explain::Interval& interval,
                                       std::optional<uint64_t> profile_bytes, DebugNames* names) {
  explain::Explainer explainer(owner_table());
  explain::IntervalSink sink(explainer, interval);
  if (names != nullptr) names->go_before(sink);
  Result<trace::ReadSummary> summary = names == nullptr ? reader.read_all(sink) : reader.read_all(*names);
  if (!summary) return std::move(summary).error();
  if (!summary->damage.empty()) {
    warn(fmt::format("the recording is damaged ({} finding{}), what is there is explained: {}",
                     summary->damage.size(), summary->damage.size() == 1 ? "" : "s",
                     summary->damage.front()));
  }
  explain::Explanation explanation = explainer.finish(summary->damage, profile_bytes);
  if (std::string unknown = summary->of_newer_kinds(); !unknown.empty())
    explanation.coverage.report.notices.push_back(std::move(unknown) + '.');
  if (names != nullptr)
    for (std::string& notice : names->take_notices())
      explanation.coverage.report.notices.push_back(std::move(notice));
  if (profile_bytes && explanation.processes.size() != 1)
    return Error(ErrorCode::kUsage, "a heap profile is of one process, and this recording has several");
  return explanation;
}

Result<explain::Explanation> explained(const std::string& path, const explain::Interval& interval) {
  const Result<trace::Reader> reader = trace::Reader::open(path);
  if (!reader) return reader.error();
  return explained(*reader, interval);
}

Result<std::vector<ExplainedSide>> two_moments(const trace::Reader& reader, const std::string& name,
                                               const Part& part) {
  const Result<explain::Interval> interval = interval_of(reader, part);
  if (!interval) return interval.error();
  std::vector<ExplainedSide> sides;
  for (const TimeNs to : {interval->from, interval->to}) {
    Result<explain::Explanation> explanation = explained(reader, {0, to});
    if (!explanation) return std::move(explanation).error();
    const std::optional<Moment>& moment = to == interval->from ? part.from : part.to;
    sides.push_back({name + (moment ? " at " + moment->text : " at its end"), *std::move(explanation)});
  }
  return sides;
}

Status unmet(const std::vector<explain::BrokenLimit>& broken) {
  if (broken.empty()) return {};
  const std::string more = broken.size() > 1 ? fmt::format(" (and {} more)", broken.size() - 1) : "";
  return Error(ErrorCode::kUnmet, broken.front().sentence + more);
}

Status check_finding_ids(const std::vector<std::string>& ids) {
  for (const std::string& id : ids)
    if (!explain::is_finding_id(id))
      return Error(ErrorCode::kUsage,
                   fmt::format("--fail-on {}: no finding has this id; any-problem stands for all", id));
  return {};
}

}  // namespace memwhy::app
