// SPDX-License-Identifier: Apache-2.0
// How far the answer can be trusted: what was seen, what was lost, what could not be seen.
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "base/text.h"
#include "report/text_parts.h"

namespace memwhy::report {
namespace {

using explain::Explanation;
using explain::ProcessCoverage;
using explain::ProcessExplanation;
using explain::RecordingCoverage;

void item(Page& page, std::string_view name, std::string_view text) {
  page.paragraph(fmt::format("  {:<14} ", name), text);
}

std::string share(uint64_t bytes, const ProcessExplanation& process) {
  if (process.rss.bytes == 0) return "0.0 %";
  return fmt::format("{:.1f} %", 100 * static_cast<double>(bytes) / static_cast<double>(process.rss.bytes));
}

std::string counter_text(const ProcessExplanation& process) {
  if (!process.rss.counter_bytes) return "not read";
  const int64_t gap = process.coverage.rss_gap_bytes.value_or(0);
  return fmt::format("{}; {} {} than the scan; the kernel's counter may be off by {}",
                     human_bytes(*process.rss.counter_bytes),
                     human_bytes(static_cast<uint64_t>(std::abs(gap))), gap < 0 ? "less" : "more",
                     process.rss.counter_error_bytes ? human_bytes(*process.rss.counter_error_bytes) : "?");
}

std::string go_heap_text(const explain::GoHeapReading& reading) {
  return fmt::format("the heap changed while it was read: {} of {} spans in motion",
                     grouped(reading.spans_in_motion), grouped(reading.spans));
}

std::string lost_text(const RecordingCoverage& coverage) {
  std::string out;
  const auto add = [&out](std::string text) { out += (out.empty() ? "" : ", ") + std::move(text); };
  if (coverage.events_lost > 0) add(fmt::format("{} events", grouped(coverage.events_lost)));
  if (coverage.faults_lost > 0) add(fmt::format("{} faults", grouped(coverage.faults_lost)));
  if (coverage.stacks_lost > 0) add(fmt::format("{} stacks", grouped(coverage.stacks_lost)));
  for (const auto& [what, count] : coverage.losses) add(fmt::format("{} x {}", grouped(count), escape(what)));
  return out;
}

// The part of a runtime's claims that is not in the ledger as its own; one that could not be read reports that itself.
std::vector<std::string> runtime_texts(const ProcessCoverage& coverage) {
  std::vector<std::string> out;
  for (const explain::RuntimeReading& each : coverage.runtimes) {
    if (each.conflict_bytes != 0)
      out.push_back(fmt::format("{}: {} that it claims belong to another runtime", escape(each.runtime),
                                human_bytes(each.conflict_bytes)));
    if (!each.problem.empty() && each.trust == "verified")
      out.push_back(fmt::format("{}: {}", escape(each.runtime), escape(each.problem)));
  }
  return out;
}

// Code is new faster than it is learned; nothing: it was not.
std::string refused_text(const RecordingCoverage& coverage) {
  if (coverage.snapshots_refused == 0) return "";
  return fmt::format(
      "{} faults met new code when more was new than memwhy learns at once: their stacks may be cut short",
      grouped(coverage.snapshots_refused));
}

// Beside the answer it counts from one fault in a hundred on.
bool many_refused(const RecordingCoverage& coverage) {
  return coverage.snapshots_refused * 100 > coverage.faults_seen;
}

// What went wrong, a line each.
void print_warnings(Page& page, const Explanation& all, const ProcessExplanation& process,
                    const std::string& lost) {
  const auto warn = [&page](std::string_view text) { page.paragraph("       ", text, Ink::kYellow); };
  const ProcessCoverage& known = process.coverage;
  if (process.scan_time && !known.scan_complete) warn("The last scan is not complete.");
  if (known.go_heap && known.go_heap->changed()) warn("Go: " + go_heap_text(*known.go_heap) + ".");
  for (const std::string& text : runtime_texts(known)) warn(text + ".");
  if (!lost.empty()) warn("Lost: " + lost + ".");
  if (many_refused(all.coverage)) warn(refused_text(all.coverage) + ".");
  for (const std::string& sentence : all.coverage.report.notices) warn(escape(sentence));
  if (!all.coverage.complete)
    warn(fmt::format("The recording is NOT complete; it ended: {}.", escape(all.coverage.ended)));
  for (const std::string& damage : all.coverage.damage) warn("Damage: " + escape(damage) + ".");
}

// "98 % whole, 2 % by frame pointers", of the pages that have a stack.
std::string stack_kinds(const explain::StackCoverage& stacks) {
  static constexpr std::array<const char*, explain::kStackTrusts> kWords{"whole",
                                                                         "whole by a copy of the stack",
                                                                         "by frame pointers",
                                                                         "by frame pointers through JIT code",
                                                                         "cut short",
                                                                         "unreadable",
                                                                         "lost"};
  uint64_t total = 0;
  for (const uint64_t each : stacks) total += each;
  std::string text;
  for (size_t i = 0; total != 0 && i < stacks.size(); ++i)
    if (stacks[i] != 0)
      text += fmt::format("{}{:.1f} % {}", text.empty() ? "" : ", ",
                          100.0 * static_cast<double>(stacks[i]) / static_cast<double>(total), kWords[i]);
  return text;
}

}  // namespace

void print_known(Page& page, const Explanation& all, const ProcessExplanation& process) {
  const ProcessCoverage& known = process.coverage;
  const std::string lost = lost_text(all.coverage);
  std::string text = "nothing of it";
  if (process.scan_time)
    text = fmt::format("all but {} ({}) before attach and {} ({}) unattributed",
                       human_bytes(known.before_attach_bytes), share(known.before_attach_bytes, process),
                       human_bytes(known.unattributed_bytes), share(known.unattributed_bytes, process));
  if (lost.empty()) text += "; nothing lost";
  page.paragraph("Known: ", text + ". More: --full, --json.", Ink::kBold);
  print_warnings(page, all, process, lost);
}

void print_coverage(Page& page, const ProcessExplanation& process) {
  const ProcessCoverage& coverage = process.coverage;
  page.line(fmt::format("How well pid {} is known", process.pid), Ink::kBold);
  if (process.scan_time) {
    item(
        page, "before attach",
        fmt::format("{} ({}) were resident before memwhy attached and have no owner",
                    human_bytes(coverage.before_attach_bytes), share(coverage.before_attach_bytes, process)));
    item(page, "unattributed",
         fmt::format("{} ({})", human_bytes(coverage.unattributed_bytes),
                     share(coverage.unattributed_bytes, process)));
    item(page, "stacks",
         fmt::format("{} ({}) by truncated stacks; {} by stacks that were lost",
                     human_bytes(coverage.truncated_stack_bytes),
                     share(coverage.truncated_stack_bytes, process), human_bytes(coverage.lost_stack_bytes)));
    if (std::string kinds = stack_kinds(coverage.stacks); !kinds.empty()) item(page, "", kinds);
    if (!coverage.scan_complete) item(page, "scan", "not complete");
    for (const std::string& text : runtime_texts(coverage)) item(page, "runtime", text);
    if (coverage.go_heap && coverage.go_heap->changed())
      item(page, "Go heap", go_heap_text(*coverage.go_heap));
  }
  item(page, "VmRSS", counter_text(process));
  if (process.rss.peak_bytes) item(page, "peak", human_bytes(*process.rss.peak_bytes));
  std::string beside;
  for (const auto& [id, bytes] : process.beside_rss)
    beside += fmt::format("{}{} {}", beside.empty() ? "" : ", ", id, human_bytes(bytes));
  if (!beside.empty()) item(page, "beside RSS", beside);
  page.blank();
}

void print_recording(Page& page, const Explanation& all) {
  const RecordingCoverage& coverage = all.coverage;
  page.line("How it was recorded", Ink::kBold);
  std::string hooks, privileges;
  for (const events::Hook& hook : coverage.report.hooks)
    hooks += fmt::format("{}{} ({})", hooks.empty() ? "" : ", ", escape(hook.name), escape(hook.attach));
  item(page, "hooks", hooks.empty() ? "none are known" : hooks);
  for (const events::Privilege& kept : coverage.report.privileges)
    privileges += fmt::format("{}{}", privileges.empty() ? "" : ", ", escape(kept.name));
  if (!privileges.empty()) item(page, "privileges", privileges);
  if (!coverage.report.stack_read.empty()) item(page, "stacks read", escape(coverage.report.stack_read));
  for (const explain::ProbeCost& probe : coverage.probes)
    item(page, "probe",
         fmt::format("{}: {} hits, {:.1f} per second, {:.1f} us each", escape(probe.name),
                     grouped(probe.hits), probe.hits_per_s, probe.ns_per_hit / 1e3));
  if (coverage.processes_left_out != 0)
    item(page, "left out",
         fmt::format("{} process{} that ended before anything of them was read",
                     grouped(coverage.processes_left_out), coverage.processes_left_out == 1 ? "" : "es"));
  for (const std::string& sentence : coverage.report.notices) item(page, "note", escape(sentence));
  for (const std::string& sentence : coverage.report.not_seen) item(page, "not seen", escape(sentence));
  item(page, "events",
       fmt::format("{} seen, {} lost", grouped(coverage.events_seen), grouped(coverage.events_lost)));
  item(page, "faults",
       fmt::format("{} seen, {} not recorded, {} without their stack", grouped(coverage.faults_seen),
                   grouped(coverage.faults_lost), grouped(coverage.stacks_lost)));
  if (const std::string refused = refused_text(coverage); !refused.empty()) item(page, "new code", refused);
  for (const auto& [what, count] : coverage.losses)
    item(page, "lost", fmt::format("{} x {}", grouped(count), escape(what)));
  item(page, "cost",
       coverage.bpf_cpu_share ? fmt::format("{:.2f} % of one CPU in BPF", *coverage.bpf_cpu_share * 100)
                              : std::string("not measured"));
  item(page, "recording",
       fmt::format("{}, ended: {}", coverage.complete ? "complete" : "NOT complete", escape(coverage.ended)));
  for (const std::string& damage : coverage.damage) item(page, "damage", escape(damage));
}

}  // namespace memwhy::report
