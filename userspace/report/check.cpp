// SPDX-License-Identifier: Apache-2.0
#include "report/check.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "report/json_cells.h"

namespace memwhy::report {

std::string_view word(explain::LimitKind kind) {
  static constexpr std::array<std::string_view, explain::kLimitKinds> kWords = {
      "max_rss", "max_owner", "fail_on", "against", "new_problem", "nothing_seen"};
  return kWords[static_cast<size_t>(kind)];
}

std::string to_text(const Checked& checked, const Style& style) {
  Page page(style);
  for (const explain::ProgramTotals& program : checked.programs) {
    std::string line =
        fmt::format("{}: {} resident", escape(program.program), human_bytes(program.rss_bytes));
    if (program.pids.size() > 1) line += fmt::format(" in {} processes", program.pids.size());
    for (const auto& [id, claim] : program.problems) line += ", " + id;
    page.paragraph("", line);
  }
  for (const explain::BrokenLimit& each : checked.broken)
    page.paragraph("BROKEN  ", escape(each.sentence) + ".", Ink::kRed);
  if (checked.broken.empty()) {
    std::string what = fmt::format("{} limit{}", checked.limits, checked.limits == 1 ? "" : "s");
    if (checked.bases > 0)
      what += fmt::format(" and {} base{}", checked.bases, checked.bases == 1 ? "" : "s");
    page.line(page.painted("ok", Ink::kGreen) + "      " + what + " kept");
  }
  return page.take();
}

std::string to_json(const Checked& checked) {
  using Object = nlohmann::ordered_json;
  Object out = {{"format", "memwhy.check/1"},  {"passed", checked.broken.empty()},
                {"limits", checked.limits},    {"bases", checked.bases},
                {"programs", Object::array()}, {"broken", Object::array()}};
  for (const explain::ProgramTotals& program : checked.programs) {
    Object one = {
        {"program", program.program},     {"pids", program.pids},
        {"rss_bytes", program.rss_bytes}, {"heap_profile_bytes", or_null(program.heap_profile_bytes)},
        {"ledger", Object::object()},     {"problems", Object::array()}};
    for (const auto& [id, bytes] : program.of(explain::Aspect::kOwner)) one["ledger"][id] = bytes;
    for (const auto& [id, claim] : program.problems) one["problems"].push_back(id);
    out["programs"].push_back(std::move(one));
  }
  for (const explain::BrokenLimit& each : checked.broken)
    out["broken"].push_back({{"limit", word(each.kind)},
                             {"id", text_or_null(each.id)},
                             {"program", text_or_null(each.program)},
                             {"bytes", or_null(each.bytes)},
                             {"allowed_bytes", or_null(each.allowed)},
                             {"sentence", each.sentence}});
  return out.dump(2, ' ', true, Object::error_handler_t::replace) + "\n";
}

}  // namespace memwhy::report
