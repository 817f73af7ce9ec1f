// SPDX-License-Identifier: Apache-2.0
// The verdict and the findings, as paragraphs.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/units.h"
#include "report/names.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

using explain::Finding;
using explain::FindingKind;
using explain::ProcessExplanation;

// Of the screen.
constexpr size_t kProblemsWithEvidence = 1, kEvidenceShown = 3, kProblemsShown = 4, kExplanationsShown = 3;

void print_list(Page& page, std::string_view first, const std::vector<std::string>& sentences, size_t most) {
  const std::string indent(first.size(), ' ');
  for (size_t i = 0; i < std::min(sentences.size(), most); ++i)
    page.paragraph(i == 0 ? first : indent, escape(sentences[i]), i == 0 ? Ink::kDim : Ink::kPlain);
  if (sentences.size() > most)
    page.line(fmt::format("{}({} more with --full)", most == 0 ? first : indent, sentences.size() - most),
              Ink::kDim);
}

void print_problem(Page& page, const Finding& found, bool evidence, size_t most) {
  const std::string returns =
      found.recoverable_bytes ? fmt::format(", returns {}", human_bytes(*found.recoverable_bytes)) : "";
  const bool problem = found.kind == FindingKind::kProblem;
  const std::string head = fmt::format("{} {}", problem ? "PROBLEM" : "explains", found.id);
  page.line(fmt::format("{}{} (confidence {})", page.painted(head, problem ? Ink::kRed : Ink::kBold), returns,
                        word(found.confidence)));
  page.paragraph("  ", escape(found.claim));
  if (evidence) {
    print_list(page, "  evidence  ", found.evidence, most);
    print_list(page, "  against   ", found.against, most);
  }
  if (!found.remedy.empty()) page.paragraph("  remedy    ", escape(found.remedy), Ink::kGreen);
  page.blank();
}

void print_explanations(Page& page, const ProcessExplanation& process) {
  const size_t shown = std::min(process.findings.size(), kExplanationsShown);
  for (size_t i = 0; i < shown; ++i) page.paragraph("  ", escape(process.findings[i].claim));
  if (shown > 0) page.blank();
}

// "; no problem found in 60 s", "" of a problem, which has its own words.
std::string text_of(const explain::Verdict& verdict) {
  switch (verdict.kind) {
    case explain::VerdictKind::kProblem:
      return "";
    case explain::VerdictKind::kNoProblem:
      return fmt::format("; no problem found in {}",
                         explain::human_seconds(verdict.watched_seconds.value_or(0)));
    case explain::VerdictKind::kNotSeenLongEnough:
      break;
  }
  std::string out = "; not seen long enough";
  if (!verdict.reason.empty()) out += ": " + escape(verdict.reason);
  if (verdict.seconds_more)
    out += fmt::format(", about {} more would tell", explain::human_seconds(*verdict.seconds_more));
  return out;
}

// What RSS does not count and is larger than RSS, which then means little for the process.
std::string beside(const ProcessExplanation& process) {
  std::string out;
  for (const auto& [id, bytes] : process.beside_rss) {
    if (bytes <= process.rss.bytes || (id != "hugetlb" && id != "swap")) continue;
    out += fmt::format("; {} more are in {}, which RSS does not count", human_bytes(bytes),
                       id == "swap" ? "swap" : "huge pages (hugetlb)");
  }
  return out;
}

}  // namespace

bool has_problem(const ProcessExplanation& process) {
  return !process.findings.empty() && process.findings.front().kind == FindingKind::kProblem;
}

std::string verdict(const ProcessExplanation& process) {
  const std::string name = fmt::format("{} (pid {}): ", escape(process.comm), process.pid);
  if (!process.scan_time) return name + "resident bytes not known";
  std::string out = name + human_bytes(process.rss.bytes) + " resident" + beside(process);
  if (process.findings.empty()) return out;
  const Finding& first = process.findings.front();
  out += text_of(process.verdict);
  if (!first.headline.empty()) out += "; " + escape(first.headline);
  return out;
}

void print_findings(Page& page, const ProcessExplanation& process, bool full) {
  if (full) {
    for (const Finding& found : process.findings) print_problem(page, found, true, SIZE_MAX);
    return;
  }
  if (!has_problem(process)) return print_explanations(page, process);
  size_t problems = 0;
  for (const Finding& found : process.findings) {
    if (found.kind != FindingKind::kProblem) break;
    if (problems < kProblemsShown)
      print_problem(page, found, problems < kProblemsWithEvidence, kEvidenceShown);
    ++problems;
  }
  if (problems <= kProblemsShown) return;
  const size_t left = problems - kProblemsShown;
  page.line(fmt::format("{} more problem{} with --full", left, left == 1 ? "" : "s"));
  page.blank();
}

}  // namespace memwhy::report
