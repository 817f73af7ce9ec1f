// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "report/clock.h"
#include "report/layout.h"
#include "report/text_go.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

using explain::Explanation;
using explain::ProcessExplanation;

constexpr size_t kProcessesInDetail = 3, kProcessesListed = 30;

void print_head(Page& page, const Explanation& all, const ProcessExplanation& process, bool full) {
  page.paragraph("", verdict(process), Ink::kBold);
  std::string what = escape(process.exe);
  if (process.go)
    what +=
        fmt::format(", {}{}{}{}", escape(process.go->version),
                    process.go->library.empty() ? "" : " in " + escape(process.go->library),
                    process.go->race ? ", built with -race" : "", process.go->stripped ? ", stripped" : "");
  if (process.threads) what += fmt::format(", {} threads", *process.threads);
  if (!what.empty()) page.paragraph("  ", what);
  std::string when = fmt::format("recorded {:.1f} s", static_cast<double>(all.end - all.start) / 1e9);
  if (!all.recording.host.empty()) when += " on " + escape(all.recording.host);
  if (full && !all.recording.kernel_release.empty())
    when += fmt::format(" (Linux {})", escape(all.recording.kernel_release));
  when += fmt::format(", {} {}", process.scans, process.scans == 1 ? "scan" : "scans");
  if (process.scan_time) {
    if (auto time = rfc3339(all.clock, *process.scan_time)) when += ", the last at " + *time;
  }
  page.paragraph("  ", when);
  for (const std::string& sentence : go_lines(process, full)) page.paragraph("  ", sentence);
  if (process.note) page.paragraph("  ", "Note: " + escape(*process.note) + ".", Ink::kYellow);
  page.blank();
}

void print_process(Page& page, const Explanation& all, const ProcessExplanation& process,
                   const TextOptions& options) {
  const bool full = options.full;
  print_head(page, all, process, full);
  if (process.scan_time) {
    print_findings(page, process, full);
    print_ledger(page, process, full, options.min_share);
    if (full) print_evidence(page, process);
    if (full) print_retention(page, process);
    if (!full) print_pieces(page, process);
  }
  print_allocations(page, process, full);
  if (!all.container) print_cgroup(page, process, full);
  if (full) {
    print_goroutines(page, process, all.clock);
    print_events(page, all, process);
    print_coverage(page, process);
  } else {
    print_known(page, all, process);
  }
}

// Processes with a problem first, then the largest.
std::vector<const ProcessExplanation*> by_weight(const Explanation& all) {
  std::vector<const ProcessExplanation*> out;
  for (const ProcessExplanation& process : all.processes) out.push_back(&process);
  std::stable_sort(out.begin(), out.end(), [](const ProcessExplanation* a, const ProcessExplanation* b) {
    if (has_problem(*a) != has_problem(*b)) return has_problem(*a);
    return a->rss.bytes > b->rss.bytes;
  });
  return out;
}

// Of many processes a line each, and the findings of the first ones.
void print_many(Page& page, const Explanation& all, const TextOptions& options) {
  const std::vector<const ProcessExplanation*> processes = by_weight(all);
  const auto problems = std::count_if(processes.begin(), processes.end(),
                                      [](const auto* process) { return has_problem(*process); });
  page.paragraph(
      "",
      fmt::format("{} processes, {} of them with a problem. Details of the first {}; --full prints all.",
                  processes.size(), problems, kProcessesInDetail),
      Ink::kBold);
  for (size_t i = 0; i < std::min(processes.size(), kProcessesListed); ++i)
    page.line("  " + cut(verdict(*processes[i]), page.style().width - 2),
              has_problem(*processes[i]) ? Ink::kRed : Ink::kPlain);
  if (processes.size() > kProcessesListed)
    page.line(fmt::format("  {} more", processes.size() - kProcessesListed));
  page.blank();
  for (size_t i = 0; i < kProcessesInDetail; ++i) {
    print_process(page, all, *processes[i], options);
    if (i + 1 < kProcessesInDetail) page.blank();
  }
}

}  // namespace

std::string to_text(const Explanation& all, const TextOptions& options) {
  Page page(options.style);
  if (all.container) print_container(page, *all.container);
  if (all.processes.empty()) page.line("The recording holds no process.");
  if (!options.full && all.processes.size() > kProcessesInDetail) {
    print_many(page, all, options);
  } else {
    for (const ProcessExplanation& process : all.processes) {
      print_process(page, all, process, options);
      if (&process != &all.processes.back()) page.blank();
    }
  }
  if (options.full) print_recording(page, all);
  return page.take();
}

}  // namespace memwhy::report
