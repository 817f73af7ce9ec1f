// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/whole.h"
#include "explain/heaviest.h"
#include "report/clock.h"
#include "report/json_cells.h"
#include "report/json_cgroup.h"
#include "report/json_go.h"
#include "report/names.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;
using explain::Explanation;
using explain::ProcessExplanation;

// Enough digits for a reader, and the same on every machine.
Json rounded(double value, double steps) {
  return std::isfinite(value) ? Json(std::round(value * steps) / steps) : Json(nullptr);
}
Json rate(const std::optional<double>& value) { return value ? rounded(*value, 10) : Json(nullptr); }
Json share(double value) { return rounded(value, 10000); }

Json ages(const std::array<uint64_t, 4>& older) {
  return {{"10s", older[0]}, {"60s", older[1]}, {"600s", older[2]}, {"3600s", older[3]}};
}

Json top_entry(const explain::Attribution& all, const explain::Entry& top) {
  return {{"bytes", top.bytes},
          {"what", word(top.what)},
          {"how", text_or_null(how_text(top))},
          {"frames", frame_texts(all, top.stack, text_style(top))},
          {"truncated", is_truncated(all, top)},
          {"name", text_or_null(name_of(all, top))},
          {"age_s", top.age_s ? rounded(*top.age_s, 1000) : Json(nullptr)}};
}

Json ledger_line(const explain::LedgerLine& line, const explain::Attribution& all) {
  Json out = {{"id", line.id()},
              {"label", line.label()},
              {"bytes", line.bytes},
              {"growth_bytes_per_s", rate(line.growth_bytes_per_s)},
              {"arrived_bytes_per_s", rate(line.arrived_bytes_per_s)},
              {"left_bytes_per_s", rate(line.left_bytes_per_s)},
              {"in_heap_profile", line.in_heap_profile},
              {"ages", line.ages_known ? ages(line.ages) : Json(nullptr)},
              {"huge_bytes", line.huge_bytes},
              {"lazy_bytes", line.lazy_bytes},
              {"top", Json::array()}};
  for (const explain::Entry& top : heaviest(all, line)) out["top"].push_back(top_entry(all, top));
  return out;
}

Json timeline_point(const explain::TimelinePoint& point, const ProcessExplanation& process,
                    const Explanation& all) {
  Json out = {{"t", or_null(rfc3339(all.clock, point.time))},
              {"rss_bytes", point.rss_bytes},
              {"ledger", Json::object()},
              {"arrived", Json::object()},
              {"left", Json::object()},
              {"ages", point.ledger.empty() ? Json(nullptr) : ages(point.older)},
              {"go", go_point(point.go)}};
  std::map<std::string_view, uint64_t> ledger;  // in order of id
  std::map<std::string_view, const explain::OwnerFlow*> flows;
  for (const auto& each : point.ledger) ledger[process.attribution.owner_id(each.owner)] = each.bytes;
  for (const auto& each : point.flows) flows[process.attribution.owner_id(each.owner)] = &each;
  for (const auto& [id, bytes] : ledger) out["ledger"][std::string(id)] = bytes;
  for (const auto& [id, flow] : flows) {
    out["arrived"][std::string(id)] = flow->arrived;
    out["left"][std::string(id)] = flow->left;
  }
  return out;
}

// Bytes and counts are integers.
Json figure_value(const explain::Figure& figure) {
  using explain::FigureUnit;
  const bool is_whole = figure.unit == FigureUnit::kBytes || figure.unit == FigureUnit::kCount ||
                        figure.unit == FigureUnit::kTime;
  return is_whole ? Json(whole(figure.value)) : rounded(figure.value, 10000);
}

Json finding(const explain::Finding& found) {
  Json figures = Json::array();
  for (const explain::Figure& each : found.figures)
    figures.push_back({{"id", each.id}, {"unit", word(each.unit)}, {"value", figure_value(each)}});
  return {{"id", found.id},
          {"kind", word(found.kind)},
          {"claim", found.claim},
          {"headline", found.headline},
          {"bytes", found.bytes},
          {"share", share(found.share)},
          {"growth_bytes_per_s", rate(found.growth_bytes_per_s)},
          {"recoverable_bytes", or_null(found.recoverable_bytes)},
          {"remedy", found.remedy},
          {"confidence", word(found.confidence)},
          {"evidence", found.evidence},
          {"against", found.against},
          {"figures", std::move(figures)}};
}

Json rss(const ProcessExplanation& process) {
  const explain::RssSummary& rss = process.rss;
  if (!process.scan_time) {  // no scan: nothing below is known
    return {{"bytes", nullptr},
            {"anon", nullptr},
            {"file", nullptr},
            {"shmem", nullptr},
            {"start_bytes", nullptr},
            {"peak_bytes", or_null(rss.peak_bytes)},
            {"counter_bytes", or_null(rss.counter_bytes)},
            {"counter_error_bytes", or_null(rss.counter_error_bytes)}};
  }
  return {{"bytes", rss.bytes},
          {"anon", rss.anon},
          {"file", rss.file},
          {"shmem", rss.shmem},
          {"start_bytes", or_null(rss.start_bytes)},
          {"peak_bytes", or_null(rss.peak_bytes)},
          {"counter_bytes", or_null(rss.counter_bytes)},
          {"counter_error_bytes", or_null(rss.counter_error_bytes)}};
}

Json gap(const ProcessExplanation& process) {
  if (!process.heap_profile_inuse_bytes || !process.scan_time) return nullptr;
  return minus(process.rss.bytes, *process.heap_profile_inuse_bytes);
}

Json runtime_readings(const std::vector<explain::RuntimeReading>& runtimes) {
  Json out = Json::array();
  for (const explain::RuntimeReading& each : runtimes)
    out.push_back({{"runtime", each.runtime},
                   {"trust", each.trust},
                   {"problem", text_or_null(each.problem)},
                   {"conflict_bytes", each.conflict_bytes}});
  return out;
}

Json stack_coverage(const explain::StackCoverage& stacks) {
  Json out = Json::object();
  for (size_t i = 0; i < explain::kStackTrusts; ++i) out[explain::kStackTrustNames[i]] = stacks[i];
  return out;
}

Json verdict_entry(const explain::Verdict& verdict) {
  return {
      {"is", word(verdict.kind)},
      {"reason", text_or_null(verdict.reason)},
      {"seconds_more", verdict.seconds_more ? rounded(*verdict.seconds_more, 10) : Json(nullptr)},
      {"watched_seconds", verdict.watched_seconds ? rounded(*verdict.watched_seconds, 1000) : Json(nullptr)},
      {"growth_seen_from_bytes_per_s", rate(verdict.seen_from_bytes_per_s)}};
}

Json process_coverage(const ProcessExplanation& process) {
  const explain::ProcessCoverage& coverage = process.coverage;
  bool known = process.scan_time.has_value();
  auto bytes = [&](uint64_t value) { return known ? Json(value) : Json(nullptr); };
  return {{"unattributed_bytes", bytes(coverage.unattributed_bytes)},
          {"before_attach_bytes", bytes(coverage.before_attach_bytes)},
          {"truncated_stack_bytes", bytes(coverage.truncated_stack_bytes)},
          {"stacks", known ? stack_coverage(coverage.stacks) : Json(nullptr)},
          {"rss_gap_bytes", or_null(coverage.rss_gap_bytes)},
          {"stale_bytes", bytes(coverage.stale_bytes)},
          {"lost_stack_bytes", bytes(coverage.lost_stack_bytes)},
          {"doubtful_bytes", bytes(coverage.doubtful_bytes)},
          {"go_heap", go_heap_reading(coverage.go_heap)},
          {"runtimes", runtime_readings(coverage.runtimes)},
          {"scan_complete", known ? Json(coverage.scan_complete) : Json(nullptr)},
          {"scans", process.scans}};
}

Json process_entry(const ProcessExplanation& process, const Explanation& all, const JsonOptions& options) {
  Json out = {
      {"pid", process.pid},
      {"comm", text_or_null(process.comm)},
      {"exe", text_or_null(process.exe)},
      {"build_id", text_or_null(process.build_id)},
      {"cgroup", text_or_null(process.cgroup)},
      {"container", or_null(process.container)},
      {"pod", or_null(process.pod)},
      {"started", process.started_boottime_ns
                      ? or_null(rfc3339_boottime(all.clock, *process.started_boottime_ns))
                      : Json(nullptr)},
      {"threads", or_null(process.threads)},
      {"go", go_summary(process, all.clock, options.cells)},
      {"rss", rss(process)},
      {"heap_profile",
       {{"inuse_bytes", or_null(process.heap_profile_inuse_bytes)},
        {"source", word(process.heap_profile_source)},
        {"rate_bytes", or_null(process.heap_profile_rate)},
        {"rate_assumed",
         process.heap_profile_rate ? Json(process.heap_profile_rate_assumed) : Json(nullptr)}}},
      {"gap_bytes", gap(process)},
      {"goroutines", goroutines(process, all.clock, options.cells)},
      {"ledger", Json::array()},
      {"timeline", Json::array()},
      {"events", Json::array()},
      {"beside_rss", Json::array()},
      {"cgroup_memory", cgroup_memory(process.cgroup_memory, all.clock)},
      {"verdict", verdict_entry(process.verdict)},
      {"findings", Json::array()},
      {"coverage", process_coverage(process)},
      {"scan_time", process.scan_time ? or_null(rfc3339(all.clock, *process.scan_time)) : Json(nullptr)},
      {"replaced_by_exec", process.replaced},
      {"note", or_null(process.note)},
  };
  for (const auto& line : process.ledger) out["ledger"].push_back(ledger_line(line, process.attribution));
  for (const auto& point : process.timeline) out["timeline"].push_back(timeline_point(point, process, all));
  for (const auto& event : process.events) {
    out["events"].push_back({{"t", or_null(rfc3339(all.clock, event.time))},
                             {"what", word(event.what)},
                             {"text", event.text},
                             {"bytes", or_null(event.bytes)},
                             {"gc", go_cycle(event.gc)}});
  }
  for (const auto& [id, bytes] : process.beside_rss)
    out["beside_rss"].push_back({{"id", id}, {"bytes", bytes}});
  for (const auto& found : process.findings) out["findings"].push_back(finding(found));
  out["go_calls"] = go_calls(process, all.clock, options.cells);
  out["allocations"] = allocations(process);
  if (options.cells) add_attribution(process.attribution, out);
  return out;
}

// Pure ASCII: control characters, bidirectional marks and the like are \u escapes; bytes that are no UTF-8
// become U+FFFD.
std::string dumped(const Json& value, int indent) {
  return value.dump(indent, ' ', true, Json::error_handler_t::replace);
}

Json recording_coverage(const explain::RecordingCoverage& coverage) {
  Json out = {
      {"hooks", Json::array()},
      {"privileges", Json::array()},
      {"stack_read", text_or_null(coverage.report.stack_read)},
      {"not_seen", coverage.report.sentences()},
      {"notices", coverage.report.notices},
      {"events_seen", coverage.events_seen},
      {"events_lost", coverage.events_lost},
      {"faults_seen", coverage.faults_seen},
      {"faults_lost", coverage.faults_lost},
      {"stacks_lost", coverage.stacks_lost},
      {"snapshots_taken", coverage.snapshots_taken},
      {"snapshots_refused", coverage.snapshots_refused},
      {"bpf_cpu_share", coverage.bpf_cpu_share ? rounded(*coverage.bpf_cpu_share, 1e6) : Json(nullptr)},
      {"processes_left_out", coverage.processes_left_out},
      {"probes", Json::array()},
      {"losses", Json::array()},
      {"recording",
       {{"complete", coverage.complete}, {"ended", coverage.ended}, {"damage", coverage.damage}}}};
  for (const events::Hook& hook : coverage.report.hooks) {
    out["hooks"].push_back({{"name", hook.name}, {"attach", hook.attach}, {"purpose", hook.purpose}});
  }
  for (const events::Privilege& kept : coverage.report.privileges)
    out["privileges"].push_back({{"name", kept.name}, {"reason", kept.reason}});
  for (const explain::ProbeCost& probe : coverage.probes) {
    out["probes"].push_back({{"name", probe.name},
                             {"hits", probe.hits},
                             {"hits_per_s", rounded(probe.hits_per_s, 1000)},
                             {"ns_per_hit", rounded(probe.ns_per_hit, 10)}});
  }
  for (const auto& [what, count] : coverage.losses)
    out["losses"].push_back({{"what", what}, {"count", count}});
  return out;
}

}  // namespace

std::string to_json(const Explanation& explanation, const JsonOptions& options) {
  Json out = {{"format", "memwhy.explain/1"},
              {"interval",
               {{"start", or_null(rfc3339(explanation.clock, explanation.start))},
                {"end", or_null(rfc3339(explanation.clock, explanation.end))},
                {"seconds", rounded(static_cast<double>(explanation.end - explanation.start) / 1e9, 1000)}}},
              {"container", container(explanation.container, explanation.clock)},
              {"processes", Json::array()},
              {"coverage", recording_coverage(explanation.coverage)},
              {"recorder",
               {{"version", text_or_null(explanation.recording.tool_version)},
                {"host", text_or_null(explanation.recording.host)},
                {"kernel", text_or_null(explanation.recording.kernel_release)},
                {"architecture", text_or_null(explanation.recording.architecture)},
                {"part", explanation.recording.part}}}};
  for (const ProcessExplanation& process : explanation.processes) {
    out["processes"].push_back(process_entry(process, explanation, options));
  }
  return dumped(out, options.spaces ? 2 : -1) + "\n";
}

std::string moment_to_json(const Explanation& explanation, const timeline::WallClock& clock) {
  Json out = {{"processes", Json::array()}};
  for (const ProcessExplanation& process : explanation.processes) {
    if (!process.scan_time) continue;
    Json entry = {{"pid", process.pid},
                  {"scan_time", or_null(rfc3339(clock, *process.scan_time))},
                  {"rss_bytes", process.rss.bytes},
                  {"goroutines", goroutines(process, clock, true)}};
    add_attribution(process.attribution, entry);
    out["processes"].push_back(std::move(entry));
  }
  return dumped(out, -1);
}

}  // namespace memwhy::report
