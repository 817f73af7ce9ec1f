// SPDX-License-Identifier: Apache-2.0
#include "report/json_go.h"

#include <limits>

#include "report/clock.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// Null: not known. "off" is what Go calls it.
Json settings(const std::optional<events::GoCounters>& totals) {
  if (!totals) return {{"GOGC", nullptr}, {"GOMEMLIMIT", nullptr}};
  const bool limited = totals->memory_limit_bytes != std::numeric_limits<int64_t>::max();
  return {{"GOGC", totals->gc_percent < 0 ? Json("off") : Json(totals->gc_percent)},
          {"GOMEMLIMIT", limited ? Json(totals->memory_limit_bytes) : Json(nullptr)}};
}

// The keys are those of package runtime/metrics where it has the same number; the others are sums of several of its.
Json totals(const std::optional<events::GoCounters>& totals) {
  if (!totals) return nullptr;
  const events::GoCounters& c = *totals;
  return {{"heap_in_use_bytes", c.heap_in_use_bytes},
          {"/memory/classes/heap/free:bytes", c.heap_free_bytes},
          {"/memory/classes/heap/released:bytes", c.heap_released_bytes},
          {"/memory/classes/heap/stacks:bytes", c.stack_bytes},
          {"/memory/classes/profiling/buckets:bytes", c.profiler_bytes},
          {"metadata_bytes", c.metadata_bytes},
          {"work_buffer_bytes", c.work_buffer_bytes},
          {"mapped_ready_bytes", c.mapped_bytes},
          {"/gc/heap/live:bytes", c.live_bytes},
          {"/gc/heap/goal:bytes", c.goal_bytes},
          {"/gc/heap/allocs:bytes", c.allocated_bytes},
          {"/gc/heap/frees:bytes", c.freed_bytes},
          {"/gc/cycles/total:gc-cycles", c.gc_cycles}};
}

Json pauses(const std::optional<explain::GoPauseSummary>& pauses) {
  if (!pauses) return nullptr;
  return {{"collections", pauses->collections},
          {"missed", pauses->missed},
          {"pause_total_ns", pauses->total_ns},
          {"pause_longest_ns", pauses->longest_ns}};
}

}  // namespace

Json go_summary(const explain::ProcessExplanation& process) {
  if (!process.go) return nullptr;
  const explain::GoSummary& go = *process.go;
  return {{"version", text_or_null(go.version)},
          {"race", go.race},
          {"cgo", go.cgo},
          {"stripped", go.stripped},
          {"layout", go.layout},
          {"layout_problem", text_or_null(go.layout_problem)},
          {"settings", settings(go.totals)},
          {"totals", totals(go.totals)},
          {"gc", pauses(go.pauses)}};
}

Json go_point(const std::optional<explain::GoTimelinePoint>& point) {
  if (!point) return nullptr;
  return {{"live", point->live_bytes},
          {"goal", point->goal_bytes},
          {"allocated", point->allocated_bytes},
          {"freed", point->freed_bytes},
          {"gc_cycle", point->gc_cycle}};
}

Json go_calls(const explain::ProcessExplanation& process, const std::optional<events::ClockAnchor>& anchor) {
  Json out = Json::array();
  for (const explain::GoCallSummary& call : process.go_calls) {
    const auto first = rfc3339(anchor, call.first), last = rfc3339(anchor, call.last);
    out.push_back({{"what", call.what},
                   {"calls", call.calls},
                   {"bytes", call.bytes},
                   {"object_bytes", call.object_bytes != 0 ? Json(call.object_bytes) : Json(nullptr)},
                   {"first", first ? Json(*first) : Json(nullptr)},
                   {"last", last ? Json(*last) : Json(nullptr)},
                   {"frames", call.frames}});
  }
  return out;
}

Json goroutines(const explain::ProcessExplanation& process,
                const std::optional<events::ClockAnchor>& anchor) {
  if (!process.goroutines) return nullptr;
  auto time = [&](TimeNs at) {
    const std::optional<std::string> text = rfc3339(anchor, at);
    return text ? Json(*text) : Json(nullptr);
  };
  Json out = {
      {"t", time(process.goroutines->time)}, {"count", process.goroutines->count}, {"groups", Json::array()}};
  for (const explain::GoroutineGroup& group : process.goroutines->groups) {
    out["groups"].push_back(
        {{"count", group.count},
         {"wait_reason", text_or_null(group.wait_reason)},
         {"site", text_or_null(group.site)},
         {"created_at", text_or_null(group.created_at)},
         {"waiting_at_least_since", group.waiting_since ? time(*group.waiting_since) : Json(nullptr)},
         {"kept_bytes", group.kept_bytes ? Json(*group.kept_bytes) : Json(nullptr)},
         {"stack_bytes", group.stack_bytes},
         {"frames", group.frames}});
  }
  return out;
}

}  // namespace memwhy::report
