// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "explain/units.h"
#include "report/clock.h"
#include "report/layout.h"
#include "report/text_go.h"

namespace memwhy::report {
namespace {

using explain::Explanation;
using explain::LedgerLine;
using explain::ProcessExplanation;

constexpr size_t kEventsShown = 12;

std::string in_unit(uint64_t bytes, const Unit& unit) {
  return tenths_text(tenths({bytes}, unit.bytes).front());
}

std::string signed_in_unit(double bytes, const Unit& unit) {
  std::string number = in_unit(static_cast<uint64_t>(std::llround(std::abs(bytes))), unit);
  if (number == "0.0") return number;
  return (bytes < 0 ? "-" : "+") + number;
}

class Printer {
 public:
  Printer(const Explanation& all, const TextOptions& options) : all_(all), options_(options) {}

  std::string print() {
    if (all_.processes.empty()) out_ += "memwhy: the recording holds no process.\n\n";
    for (const ProcessExplanation& process : all_.processes) {
      unit_ = unit_for(process.rss.bytes);
      head(process);
      if (process.note) line("", "Note: " + escape(*process.note) + ".");
      out_ += "\n";
      if (process.scan_time) {
        findings(process);
        ledger(process);
        evidence(process);
        retention(process);
      }
      out_ += goroutine_table(process, all_.anchor);
      happened(process);
      process_coverage(process);
    }
    recording_coverage();
    return std::move(out_);
  }

 private:
  void line(std::string_view first, std::string_view text) { out_ += paragraph(first, text); }

  void head(const ProcessExplanation& process) {
    std::string resident = process.scan_time ? human_bytes(process.rss.bytes) + " resident"
                                             : std::string("resident bytes not known");
    line("", fmt::format("memwhy: {} (pid {}), {}", escape(process.comm), process.pid, resident));
    std::string what = escape(process.exe);
    if (process.go) {
      what +=
          fmt::format(", {}{}{}", escape(process.go->version), process.go->race ? ", built with -race" : "",
                      process.go->stripped ? ", stripped" : "");
    }
    if (process.threads) what += fmt::format(", {} threads", *process.threads);
    if (!what.empty()) line("  ", what);
    std::string when = fmt::format("recorded {:.1f} s", static_cast<double>(all_.end - all_.start) / 1e9);
    if (!all_.recording.host.empty()) when += " on " + escape(all_.recording.host);
    if (!all_.recording.kernel_release.empty())
      when += fmt::format(" (Linux {})", escape(all_.recording.kernel_release));
    when += fmt::format(", {} {}", process.scans, process.scans == 1 ? "scan" : "scans");
    if (process.scan_time) {
      if (auto time = rfc3339(all_.anchor, *process.scan_time)) when += ", the last at " + *time;
    }
    line("  ", when);
    for (const std::string& sentence : go_lines(process)) line("  ", sentence);
  }

  void findings(const ProcessExplanation& process) {
    bool problem =
        !process.findings.empty() && process.findings.front().kind == explain::FindingKind::kProblem;
    if (!problem) line("", "No problem found. What the memory is:");
    if (!problem) out_ += "\n";
    constexpr std::array<std::string_view, 3> kConfidence = {"high", "medium", "low"};
    for (const explain::Finding& found : process.findings) {
      bool is_problem = found.kind == explain::FindingKind::kProblem;
      line("", fmt::format("{} {} (confidence {})", is_problem ? "PROBLEM" : "explains", found.id,
                           kConfidence[static_cast<size_t>(found.confidence)]));
      line("  ", escape(found.claim));
      list("  evidence  ", found.evidence);
      list("  against   ", found.against);
      if (!found.remedy.empty()) line("  remedy    ", escape(found.remedy));
      if (found.recoverable_bytes) line("  returns   ", human_bytes(*found.recoverable_bytes));
      out_ += "\n";
    }
  }

  void list(std::string_view first, const std::vector<std::string>& sentences) {
    std::string indent(first.size(), ' ');
    for (size_t i = 0; i < sentences.size(); ++i) line(i == 0 ? first : indent, escape(sentences[i]));
  }

  void ledger(const ProcessExplanation& process) {
    std::vector<uint64_t> bytes;
    for (const LedgerLine& each : process.ledger) bytes.push_back(each.bytes);
    std::vector<uint64_t> column = tenths(bytes, unit_.bytes), shares = permille(bytes);
    out_ += fmt::format("  {:>10}  {:>7}  {:>9}  owner\n", unit_.name, "share",
                        fmt::format("{}/min", unit_.name));
    uint64_t sum = 0;
    for (size_t i = 0; i < column.size(); ++i) {
      const LedgerLine& each = process.ledger[i];
      std::string growth =
          each.growth_bytes_per_s ? signed_in_unit(*each.growth_bytes_per_s * 60, unit_) : "?";
      out_ += fmt::format("+ {:>10}  {:>5} %  {:>9}  {}\n", tenths_text(column[i]), tenths_text(shares[i]),
                          growth, each.id);
      sum += column[i];
    }
    out_ += "  " + std::string(kWidth / 2, '-') + "\n";
    out_ += fmt::format("= {:>10}  {:>5} %  {:>9}  resident, {} bytes\n\n", tenths_text(sum),
                        column.empty() ? "0.0" : "100.0", "", grouped(process.rss.bytes));
  }

  void evidence(const ProcessExplanation& process) {
    line("", "What holds it");
    for (const LedgerLine& each : process.ledger) {
      line("  ", fmt::format("{}: {}", each.id, each.label));
      size_t shown = std::min(each.top.size(), options_.stacks_per_line);
      for (size_t i = 0; i < shown; ++i) entry(each.top[i]);
      if (each.top.size() > shown) {
        out_ += fmt::format("    {:>12}  ({} more in --json)\n", "...", each.top.size() - shown);
      }
    }
    out_ += "\n";
  }

  void entry(const explain::TopEntry& top) {
    std::string bytes = fmt::format("    {:>12}  ", human_bytes(top.bytes));
    std::string how = top.how.empty() ? std::string() : fmt::format("{}, ", escape(top.how));
    // Before attach: seen since the first scan, and older than that.
    std::string age = !top.age_s
                          ? "age unknown"
                          : fmt::format("{} {}", top.how == "before attach" ? "for more than" : "oldest",
                                        explain::human_seconds(*top.age_s));
    if (top.what != "stack") {
      line(bytes, fmt::format("{} ({}{})", escape(top.name), how, age));
      return;
    }
    line(bytes, fmt::format("stack ({}{}{})", how, age, top.truncated ? ", not whole" : ""));
    size_t shown = std::min(top.frames.size(), options_.frames_per_stack);
    std::string indent(bytes.size() + 2, ' ');
    for (size_t i = 0; i < shown; ++i) line(indent, short_frame(top.frames[i]));
    if (top.frames.empty()) line(indent, "(no frame is known)");
    if (top.frames.size() > shown) line(indent, fmt::format("... {} more frames", top.frames.size() - shown));
  }

  void retention(const ProcessExplanation& process) {
    line("", fmt::format("Page retention: {} resident for longer than; {} that came and went a second",
                         unit_.name, unit_.name));
    out_ += fmt::format("{:>9} {:>9} {:>9} {:>9} {:>8} {:>8}  owner\n", "10 s", "1 min", "10 min", "1 h",
                        "in/s", "out/s");
    for (const LedgerLine& each : process.ledger) {
      auto rate = [&](const std::optional<double>& value) {
        return value ? in_unit(to_bytes(*value), unit_) : "?";
      };
      auto age = [&](size_t i) { return each.ages_known ? in_unit(each.ages[i], unit_) : "-"; };
      out_ += fmt::format("{:>9} {:>9} {:>9} {:>9} {:>8} {:>8}  {}\n", age(0), age(1), age(2), age(3),
                          rate(each.arrived_bytes_per_s), rate(each.left_bytes_per_s), each.id);
    }
    out_ += "\n";
  }

  static uint64_t to_bytes(double value) {
    return value > 0 ? static_cast<uint64_t>(std::llround(value)) : 0;
  }

  void happened(const ProcessExplanation& process) {
    std::vector<explain::TimelineEvent> shown;  // collections are too many: go_lines() has their sum
    std::copy_if(process.events.begin(), process.events.end(), std::back_inserter(shown),
                 [](const explain::TimelineEvent& event) { return event.what != "gc"; });
    if (shown.empty()) return;
    line("", "What happened");
    for (size_t i = 0; i < std::min(shown.size(), kEventsShown); ++i) {
      const explain::TimelineEvent& event = shown[i];
      double after = event.time >= all_.start ? static_cast<double>(event.time - all_.start) / 1e9 : 0;
      line(fmt::format("  {:>9}  {:<5} ", fmt::format("+{:.1f} s", after), event.what), escape(event.text));
    }
    if (shown.size() > kEventsShown) {
      out_ += fmt::format("  ... {} more in --json\n", shown.size() - kEventsShown);
    }
    out_ += "\n";
  }

  void item(std::string_view name, std::string_view text) { line(fmt::format("  {:<14} ", name), text); }

  std::string share(uint64_t bytes, const ProcessExplanation& process) const {
    if (process.rss.bytes == 0) return "0.0 %";
    return fmt::format("{:.1f} %", 100 * static_cast<double>(bytes) / static_cast<double>(process.rss.bytes));
  }

  void process_coverage(const ProcessExplanation& process) {
    const explain::ProcessCoverage& coverage = process.coverage;
    line("", fmt::format("How well pid {} is known", process.pid));
    if (process.scan_time) {
      item("before attach", fmt::format("{} ({}) were there before memwhy and have no owner",
                                        human_bytes(coverage.before_attach_bytes),
                                        share(coverage.before_attach_bytes, process)));
      item("unattributed", fmt::format("{} ({})", human_bytes(coverage.unattributed_bytes),
                                       share(coverage.unattributed_bytes, process)));
      item("stacks", fmt::format("{} ({}) by stacks that are not whole; {} whose stack was lost",
                                 human_bytes(coverage.truncated_stack_bytes),
                                 share(coverage.truncated_stack_bytes, process),
                                 human_bytes(coverage.lost_stack_bytes)));
      if (!coverage.scan_complete) item("scan", "not complete");
      for (const explain::RuntimeReading& each : coverage.runtimes) {
        if (each.conflict_bytes != 0)
          item("runtime", fmt::format("{}: {} that it claims are another runtime's", escape(each.runtime),
                                      human_bytes(each.conflict_bytes)));
        if (!each.problem.empty() && each.trust == "verified")
          item("runtime", fmt::format("{}: {}", escape(each.runtime), escape(each.problem)));
      }
      if (coverage.go_heap && coverage.go_heap->changed()) {
        item("Go heap",
             fmt::format("the heap was read while it changed: {} of {} spans in motion",
                         grouped(coverage.go_heap->spans_in_motion), grouped(coverage.go_heap->spans)));
      }
    }
    counter(process);
    if (process.rss.peak_bytes) item("peak", human_bytes(*process.rss.peak_bytes));
    std::string beside;
    for (const auto& [id, bytes] : process.beside_rss) {
      beside += fmt::format("{}{} {}", beside.empty() ? "" : ", ", id, human_bytes(bytes));
    }
    if (!beside.empty()) item("beside RSS", beside);
    out_ += "\n";
  }

  void counter(const ProcessExplanation& process) {
    if (!process.rss.counter_bytes) {
      item("VmRSS", "not read");
      return;
    }
    int64_t gap = process.coverage.rss_gap_bytes.value_or(0);
    item("VmRSS",
         fmt::format("{}, {}{} beside the scan; the kernel's counter is exact to {}",
                     human_bytes(*process.rss.counter_bytes), gap < 0 ? "-" : "+",
                     human_bytes(static_cast<uint64_t>(std::abs(gap))),
                     process.rss.counter_error_bytes ? human_bytes(*process.rss.counter_error_bytes) : "?"));
  }

  void recording_coverage() {
    const explain::RecordingCoverage& coverage = all_.coverage;
    line("", "How it was recorded");
    std::string hooks;
    for (const events::Hook& hook : coverage.hooks) {
      hooks += fmt::format("{}{} ({})", hooks.empty() ? "" : ", ", escape(hook.name), escape(hook.attach));
    }
    item("hooks", hooks.empty() ? "none are known" : hooks);
    std::string privileges;
    for (const events::Privilege& kept : coverage.privileges)
      privileges += fmt::format("{}{}", privileges.empty() ? "" : ", ", escape(kept.name));
    if (!privileges.empty()) item("privileges", privileges);
    if (!coverage.stack_read.empty()) item("stacks read", escape(coverage.stack_read));
    for (const explain::ProbeCost& probe : coverage.probes)
      item("probe", fmt::format("{}: {} hits, {:.1f} a second, {:.1f} us each", escape(probe.name),
                                grouped(probe.hits), probe.hits_per_s, probe.ns_per_hit / 1e3));
    if (coverage.processes_left_out != 0)
      item("left out",
           fmt::format("{} process{} that ended before anything of them was read",
                       grouped(coverage.processes_left_out), coverage.processes_left_out == 1 ? "" : "es"));
    for (const std::string& sentence : coverage.not_seen) item("not seen", escape(sentence));
    item("events",
         fmt::format("{} seen, {} lost", grouped(coverage.events_seen), grouped(coverage.events_lost)));
    item("faults",
         fmt::format("{} seen, {} not recorded, {} without their stack", grouped(coverage.faults_seen),
                     grouped(coverage.faults_lost), grouped(coverage.stacks_lost)));
    for (const auto& [what, count] : coverage.losses)
      item("lost", fmt::format("{} x {}", grouped(count), escape(what)));
    item("cost", coverage.bpf_cpu_share
                     ? fmt::format("{:.2f} % of one CPU in BPF", *coverage.bpf_cpu_share * 100)
                     : std::string("not measured"));
    item("recording", fmt::format("{}, ended: {}", coverage.complete ? "complete" : "NOT complete",
                                  escape(coverage.ended)));
    for (const std::string& damage : coverage.damage) item("damage", escape(damage));
  }

  const Explanation& all_;
  const TextOptions& options_;
  Unit unit_{"KiB", 1024};
  std::string out_;
};

}  // namespace

std::string to_text(const Explanation& explanation, const TextOptions& options) {
  return Printer(explanation, options).print();
}

}  // namespace memwhy::report
