// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <nlohmann/json.hpp>

#include "report/clock.h"
#include "report/diff.h"
#include "report/json_cells.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;

Json changed_aspect(const explain::ChangedAspect& aspect) {
  Json out = {{"lines", Json::array()}, {"rest", aspect.rest}};
  for (const explain::ChangedLine& line : aspect.lines) {
    Json one = {
        {"name", line.name}, {"before", line.before}, {"after", line.after}, {"change", line.change()}};
    if (aspect.aspect == explain::Aspect::kGoroutineGroup) {
      one["count_before"] = line.count_before.value_or(0);
      one["count_after"] = line.count_after.value_or(0);
    }
    out["lines"].push_back(std::move(one));
  }
  return out;
}

Json claims(const std::vector<std::pair<std::string, std::string>>& problems) {
  Json out = Json::array();
  for (const auto& [id, claim] : problems) out.push_back({{"id", id}, {"claim", claim}});
  return out;
}

Json program_side(const std::optional<explain::ProgramTotals>& side) {
  if (!side) return nullptr;
  return {{"program", side->program},
          {"pids", side->pids},
          {"build_id", text_or_null(side->build_id)},
          {"rss_bytes", side->rss_bytes},
          {"heap_profile_bytes", or_null(side->heap_profile_bytes)}};
}

Json changed_program(const explain::ProgramDifference& program) {
  Json out = {{"program", program.program},
              {"same_build", program.same_build},
              {"before", program_side(program.before)},
              {"after", program_side(program.after)},
              {"rss_change", program.rss_change()},
              {"by", Json::object()},
              {"problems",
               {{"new", claims(program.problems_new)},
                {"gone", claims(program.problems_gone)},
                {"still", claims(program.problems_still)}}}};
  for (const explain::ChangedAspect& aspect : program.aspects)
    out["by"][std::string(word(aspect.aspect))] = changed_aspect(aspect);
  return out;
}

Json recording_side(const DiffSide& side) {
  const explain::Explanation& all = *side.explanation;
  return {{"name", side.name},
          {"host", text_or_null(all.recording.host)},
          {"start", or_null(rfc3339(all.clock, all.start))},
          {"end", or_null(rfc3339(all.clock, all.end))}};
}

}  // namespace

std::string_view word(explain::Aspect aspect) {
  static constexpr std::array<std::string_view, explain::kAspects> kWords = {"owner", "function", "file",
                                                                             "holder", "goroutine_group"};
  return kWords[static_cast<size_t>(aspect)];
}

std::string to_json(const std::vector<explain::ProgramDifference>& all, const DiffSide& before,
                    const DiffSide& after) {
  Json out = {{"format", "memwhy.diff/1"},
              {"before", recording_side(before)},
              {"after", recording_side(after)},
              {"programs", Json::array()}};
  for (const explain::ProgramDifference& program : all) out["programs"].push_back(changed_program(program));
  return out.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace memwhy::report
