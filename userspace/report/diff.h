// SPDX-License-Identifier: Apache-2.0
// Two explanations side by side (explain/compare/difference.h), printed: text for people, memwhy.diff/1 for scripts. Prints
// what was compared and computes nothing but units.
//
//   web: 42.4 MiB before, 94.4 MiB after, +52.0 MiB
//          before      after     +/- MiB  by owner
//            40.0       92.0       +52.0  go.heap.live
#pragma once

#include <string>
#include <vector>

#include "explain/compare/difference.h"
#include "report/page.h"

namespace memwhy::report {

// One side: what it is called on the command line, and what is explained there.
struct DiffSide {
  std::string name;  // "a.memwhy", "a.memwhy at +30s"
  const explain::Explanation* explanation = nullptr;
};

struct DiffOptions {
  bool full = false;  // every line that changed
  Style style = {};
};

std::string to_text(const std::vector<explain::ProgramDifference>& all, const DiffSide& before,
                    const DiffSide& after, const DiffOptions& options = {});
// Pure ASCII, as json.h.
std::string to_json(const std::vector<explain::ProgramDifference>& all, const DiffSide& before,
                    const DiffSide& after);

std::string_view word(explain::Aspect aspect);  // "owner", "function", "file", "holder", "goroutine_group"

}  // namespace memwhy::report
