// SPDX-License-Identifier: Apache-2.0
// The limits of a check that hold and those that do not (explain/compare/limits.h), printed: a line for each, or memwhy.check/1.
#pragma once

#include <string>
#include <vector>

#include "explain/compare/limits.h"
#include "report/page.h"

namespace memwhy::report {

struct Checked {
  std::vector<explain::ProgramTotals> programs;
  std::vector<explain::BrokenLimit> broken;
  size_t limits = 0;  // that were set
  size_t bases = 0;
};

// "web: 42.4 MiB" for each program, then the sentences, the last one with the number that hold.
std::string to_text(const Checked& checked, const Style& style = {});
std::string to_json(const Checked& checked);

std::string_view word(
    explain::LimitKind kind);  // "max_rss", "max_owner", "fail_on", "against", "new_problem", "nothing_seen"

}  // namespace memwhy::report
