// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "base/whole.h"
#include "report/clock.h"
#include "report/diff.h"
#include "report/layout.h"

namespace memwhy::report {
namespace {

using explain::Aspect;
using explain::ChangedAspect;
using explain::ChangedLine;
using explain::ProgramDifference;

constexpr size_t kChangesShown = 8;  // of an aspect, unless `full`

std::string_view aspect_title(Aspect aspect) {
  static constexpr std::array<std::string_view, explain::kAspects> kTitles = {
      "by owner", "by function (the program's own, that touched the pages first)", "by file",
      "by what the Go heap hangs from", "by goroutines (their stacks, and what they alone keep: virtual)"};
  return kTitles[static_cast<size_t>(aspect)];
}

std::string_view rest_title(Aspect aspect) {
  static constexpr std::array<std::string_view, explain::kAspects> kTitles = {
      "(of no owner)", "(of no function: there before memwhy attached, or read from files)", "(of no file)",
      "(all else)", "(all else)"};
  return kTitles[static_cast<size_t>(aspect)];
}

// Signed numbers of one column, in tenths that add up: what grew and what shrank are rounded among themselves.
std::vector<int64_t> signed_tenths(const std::vector<int64_t>& parts, uint64_t unit) {
  std::vector<uint64_t> grown, shrunk;
  for (const int64_t part : parts) {
    grown.push_back(part > 0 ? static_cast<uint64_t>(part) : 0);
    shrunk.push_back(part < 0 ? static_cast<uint64_t>(-part) : 0);
  }
  const std::vector<uint64_t> up = tenths(grown, unit), down = tenths(shrunk, unit);
  std::vector<int64_t> out;
  for (size_t i = 0; i < parts.size(); ++i) out.push_back(minus(up[i], down[i]));
  return out;
}

std::string change_text(int64_t tenths) {
  const std::string number = tenths_text(static_cast<uint64_t>(std::abs(tenths)));
  return tenths == 0 ? number : (tenths < 0 ? "-" : "+") + number;
}

std::string signed_bytes(int64_t bytes) {
  if (bytes == 0) return "no change";
  return (bytes < 0 ? "-" : "+") + human_bytes(static_cast<uint64_t>(std::abs(bytes)));
}

std::string change_row(std::string_view before, std::string_view after, int64_t tenths,
                       std::string_view what) {
  return fmt::format("  {:>9}  {:>9}  {:>10}  {}", before, after, change_text(tenths), what);
}

std::string count_text(const ChangedLine& line) {
  if (!line.count_before && !line.count_after) return "";
  return fmt::format("{} -> {} ", line.count_before.value_or(0), line.count_after.value_or(0));
}

void print_aspect(Page& page, const ChangedAspect& aspect, const Unit& unit, bool full) {
  if (aspect.lines.empty() && (aspect.rest == 0 || aspect.aspect != Aspect::kOwner)) return;
  page.line(fmt::format("  {:>9}  {:>9}  {:>10}  {}", "before", "after", fmt::format("+/- {}", unit.name),
                        aspect_title(aspect.aspect)),
            Ink::kDim);
  std::vector<int64_t> changes;
  for (const ChangedLine& line : aspect.lines) changes.push_back(line.change());
  changes.push_back(aspect.rest);
  const std::vector<int64_t> column = signed_tenths(changes, unit.bytes);
  const auto cell = [&](uint64_t bytes) { return tenths_text(tenths({bytes}, unit.bytes).front()); };
  const size_t most = full || aspect.lines.size() <= kChangesShown + 1 ? aspect.lines.size() : kChangesShown;
  int64_t sum = 0, smaller = 0;
  for (size_t i = 0; i < aspect.lines.size(); ++i) {
    sum += column[i];
    if (i >= most) {
      smaller += column[i];
      continue;
    }
    const ChangedLine& line = aspect.lines[i];
    const std::string first = change_row(cell(line.before), cell(line.after), column[i], count_text(line));
    const size_t room = page.style().width > columns(first) + 20 ? page.style().width - columns(first) : 20;
    page.line(first + cut(escape(line.name), room));
  }
  if (most < aspect.lines.size())
    page.line(change_row("", "", smaller, fmt::format("{} smaller changes", aspect.lines.size() - most)));
  sum += column.back();
  if (aspect.rest != 0) page.line(change_row("", "", column.back(), rest_title(aspect.aspect)));
  page.line(change_row("", "", sum, "resident"), Ink::kBold);
  page.blank();
}

std::string side_text(const DiffSide& side) {
  std::string text = side.name;
  const explain::Explanation& all = *side.explanation;
  if (!all.recording.host.empty()) text += " on " + all.recording.host;
  if (const auto end = rfc3339(all.clock, all.end)) text += ", until " + *end;
  return escape(text);
}

void print_problems(Page& page, const ProgramDifference& program) {
  const auto list = [&](std::string_view head, const auto& problems, Ink ink) {
    for (const auto& [id, claim] : problems) {
      page.line(page.painted(fmt::format("{} {}", head, id), ink));
      page.paragraph("  ", escape(claim));
    }
  };
  list("NEW PROBLEM", program.problems_new, Ink::kRed);
  list("GONE", program.problems_gone, Ink::kGreen);
  list("STILL A PROBLEM", program.problems_still, Ink::kYellow);
  if (!program.problems_new.empty() || !program.problems_gone.empty() || !program.problems_still.empty())
    page.blank();
}

void print_program(Page& page, const ProgramDifference& program, bool full) {
  std::string head = escape(program.program);
  if (program.program != program.program_before) head += " (before: " + escape(program.program_before) + ")";
  head += fmt::format(": {} before, {} after, {}", human_bytes(program.rss_before()),
                      human_bytes(program.rss_after()), signed_bytes(program.rss_change()));
  page.paragraph("", head, Ink::kBold);
  if (!program.before || !program.after) {
    page.paragraph(
        "  ", program.before ? "It is not in the second recording." : "It is not in the first recording.");
  } else {
    const size_t a = program.before->pids.size(), b = program.after->pids.size();
    std::string text = program.same_build ? "the same build"
                       : program.before->build_id.empty() || program.after->build_id.empty()
                           ? "whether it is the same build is not known"
                           : "another build";
    if (a != 1 || b != 1) text += fmt::format("; {} processes before, {} after", a, b);
    if (program.before->heap_profile_bytes && program.after->heap_profile_bytes)
      text +=
          fmt::format("; heap profile {} before, {} after", human_bytes(*program.before->heap_profile_bytes),
                      human_bytes(*program.after->heap_profile_bytes));
    page.paragraph("  ", text);
  }
  page.blank();
  print_problems(page, program);
  const Unit unit = unit_for(std::max(program.rss_before(), program.rss_after()));
  for (const ChangedAspect& aspect : program.aspects) print_aspect(page, aspect, unit, full);
}

}  // namespace

std::string to_text(const std::vector<ProgramDifference>& all, const DiffSide& before, const DiffSide& after,
                    const DiffOptions& options) {
  Page page(options.style);
  page.paragraph("before  ", side_text(before));
  page.paragraph("after   ", side_text(after));
  page.blank();
  if (all.empty()) page.line("Neither recording holds a process that was scanned.");
  for (const ProgramDifference& program : all) print_program(page, program, options.full);
  std::string text = page.take();
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace memwhy::report
