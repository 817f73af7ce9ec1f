// SPDX-License-Identifier: Apache-2.0
#include "explain/compare/difference.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace memwhy::explain {
namespace {

ChangedAspect compare(Aspect aspect, const ProgramTotals& before, const ProgramTotals& after) {
  std::map<std::string, ChangedLine> lines;
  for (const auto& [name, bytes] : before.of(aspect)) lines[name].before = bytes;
  for (const auto& [name, bytes] : after.of(aspect)) lines[name].after = bytes;
  if (aspect == Aspect::kGoroutineGroup) {
    for (const auto& [name, count] : before.goroutines) lines[name].count_before = count;
    for (const auto& [name, count] : after.goroutines) lines[name].count_after = count;
  }
  ChangedAspect out;
  out.aspect = aspect;
  out.rest = minus(after.rss_bytes, before.rss_bytes);
  for (auto& [name, line] : lines) {
    if (line.change() == 0 && line.count_before == line.count_after) continue;
    out.rest -= line.change();
    line.name = name;
    out.lines.push_back(std::move(line));
  }
  std::stable_sort(out.lines.begin(), out.lines.end(), [](const ChangedLine& a, const ChangedLine& b) {
    return std::abs(a.change()) > std::abs(b.change());
  });
  return out;
}

void compare_problems(const ProgramTotals& before, const ProgramTotals& after, ProgramDifference& out) {
  for (const auto& [id, claim] : after.problems)
    (before.problems.contains(id) ? out.problems_still : out.problems_new).emplace_back(id, claim);
  for (const auto& [id, claim] : before.problems)
    if (!after.problems.contains(id)) out.problems_gone.emplace_back(id, claim);
}

ProgramDifference compare(std::optional<ProgramTotals> before, std::optional<ProgramTotals> after) {
  ProgramDifference out;
  out.program = after ? after->program : before->program;
  out.program_before = before ? before->program : after->program;
  const ProgramTotals nothing;
  const ProgramTotals& a = before ? *before : nothing;
  const ProgramTotals& b = after ? *after : nothing;
  out.same_build = !a.build_id.empty() && a.build_id == b.build_id;
  for (size_t i = 0; i < kAspects; ++i) {
    const auto aspect = static_cast<Aspect>(i);
    if (!a.of(aspect).empty() || !b.of(aspect).empty()) out.aspects.push_back(compare(aspect, a, b));
  }
  compare_problems(a, b, out);
  out.before = std::move(before);
  out.after = std::move(after);
  return out;
}

}  // namespace

std::vector<ProgramDifference> difference(const Explanation& before, const Explanation& after) {
  std::vector<ProgramTotals> a = totals_of(before), b = totals_of(after);
  std::vector<ProgramDifference> out;
  const bool one_each = a.size() == 1 && b.size() == 1;
  for (ProgramTotals& now : b) {
    const auto then = std::find_if(a.begin(), a.end(), [&](const ProgramTotals& each) {
      return one_each || each.program == now.program;
    });
    if (then == a.end()) {
      out.push_back(compare(std::nullopt, std::move(now)));
    } else {
      out.push_back(compare(std::move(*then), std::move(now)));
      a.erase(then);
    }
  }
  for (ProgramTotals& then : a) out.push_back(compare(std::move(then), std::nullopt));
  std::stable_sort(out.begin(), out.end(), [](const ProgramDifference& x, const ProgramDifference& y) {
    return std::abs(x.rss_change()) > std::abs(y.rss_change());
  });
  return out;
}

}  // namespace memwhy::explain
