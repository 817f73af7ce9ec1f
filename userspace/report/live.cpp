// SPDX-License-Identifier: Apache-2.0
#include "report/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

constexpr size_t kLeastOfFindings = 4;  // lines, if there are as many

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::vector<std::string> lines_of(const Style& style, const auto& print) {
  Page page(style);
  print(page);
  return lines_of(page.take());
}

void append(const std::vector<std::string>& lines, size_t most, std::string& out) {
  for (size_t i = 0; i < std::min(lines.size(), most); ++i) out += lines[i] + "\n";
}

// The one to look at: with a ledger, the largest.
const explain::ProcessExplanation* first_of(const explain::Explanation& all) {
  const explain::ProcessExplanation* out = nullptr;
  for (const explain::ProcessExplanation& process : all.processes)
    if (!process.replaced && (out == nullptr || process.rss.bytes > out->rss.bytes)) out = &process;
  return out;
}

}  // namespace

std::string to_live_text(const explain::Explanation& all, const LiveOptions& options) {
  const explain::ProcessExplanation* process = first_of(all);
  if (process == nullptr) return "nothing is seen yet\n";
  const std::vector<std::string> head = lines_of(options.style, [&](Page& page) {
    page.paragraph("", verdict(*process), Ink::kBold);
    std::string when = fmt::format("  {:.0f} s, {} {}", static_cast<double>(all.end - all.start) / 1e9,
                                   process->scans, process->scans == 1 ? "scan" : "scans");
    if (process->scan_time)
      when +=
          fmt::format(", the last {:.0f} s ago", static_cast<double>(all.end - *process->scan_time) / 1e9);
    if (options.rss_bytes) when += fmt::format("; RSS now {}", human_bytes(*options.rss_bytes));
    page.line(when, Ink::kDim);
    page.blank();
  });
  std::string out;
  append(head, options.lines, out);
  if (!process->scan_time || head.size() >= options.lines) return out;
  size_t room = options.lines - head.size();
  const std::vector<std::string> found =
      lines_of(options.style, [&](Page& page) { print_findings(page, *process, false); });
  std::vector<std::string> ledger =
      lines_of(options.style, [&](Page& page) { print_ledger(page, *process, false, 0); });
  while (!ledger.empty() && ledger.back().empty()) ledger.pop_back();
  const size_t beside = room > ledger.size() ? room - ledger.size() : 0;
  size_t shown = std::min({found.size(), std::max(beside, kLeastOfFindings), room});
  append(found, shown, out);
  // What is cut off does not run into the table.
  if (shown > 0 && shown < found.size()) {
    out.resize(out.size() - found[shown - 1].size() - 1);
    out += "\n";
  }
  append(ledger, room - shown, out);
  return out;
}

std::string to_live_line(const explain::Explanation& all) {
  const explain::ProcessExplanation* process = first_of(all);
  if (process == nullptr) return "nothing is seen yet";
  return fmt::format("+{:.1f} s {}", static_cast<double>(all.end - all.start) / 1e9, verdict(*process));
}

}  // namespace memwhy::report
