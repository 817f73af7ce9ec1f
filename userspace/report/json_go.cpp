// SPDX-License-Identifier: Apache-2.0
#include "report/json_go.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "report/clock.h"
#include "report/json_cells.h"
#include "report/names.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;
using explain::Attribution;

constexpr size_t kEveryClass = 68, kClassesOfPoint = 16;

// "off" is what Go calls it.
Json percent(int32_t value) { return value < 0 ? Json("off") : Json(value); }
Json limit(int64_t bytes) {
  return bytes != std::numeric_limits<int64_t>::max() ? Json(bytes) : Json(nullptr);
}

// Null: unknown.
Json settings(const std::optional<events::GoCounters>& totals) {
  if (!totals) return {{"GOGC", nullptr}, {"GOMEMLIMIT", nullptr}};
  return {{"GOGC", percent(totals->gc_percent)}, {"GOMEMLIMIT", limit(totals->memory_limit_bytes)}};
}

// The keys are those of package runtime/metrics where it has the same number; the others are sums of several of its.
Json totals(const std::optional<events::GoCounters>& totals) {
  if (!totals) return nullptr;
  const events::GoCounters& c = *totals;
  const std::optional<uint64_t> goal = explain::heap_goal(c);
  return {{"heap_in_use_bytes", c.heap_in_use_bytes},
          {"/memory/classes/heap/free:bytes", c.heap_free_bytes},
          {"/memory/classes/heap/released:bytes", c.heap_released_bytes},
          {"/memory/classes/heap/stacks:bytes", c.stack_bytes},
          {"/memory/classes/profiling/buckets:bytes", c.profiler_bytes},
          {"metadata_bytes", c.metadata_bytes},
          {"work_buffer_bytes", c.work_buffer_bytes},
          {"/memory/classes/other:bytes", c.other_bytes},
          {"mapped_ready_bytes", c.mapped_bytes},
          {"/gc/heap/live:bytes", c.live_bytes},
          {"/gc/heap/goal:bytes", goal ? Json(*goal) : Json(nullptr)},
          {"/gc/heap/allocs:bytes", c.allocated_bytes},
          {"/gc/heap/frees:bytes", c.freed_bytes},
          {"/gc/cycles/total:gc-cycles", c.gc_cycles}};
}

Json rounded(double value) { return std::round(value * 10) / 10; }

// `most`: classes that are listed; each is "bytes of an object": objects a second.
Json rates(const std::optional<explain::GoAllocationRates>& rates, size_t most) {
  if (!rates) return nullptr;
  Json small = Json::object();
  for (size_t i = 0; i < std::min(most, rates->small.size()); ++i)
    small[std::to_string(rates->small[i].object_bytes)] = rounded(rates->small[i].objects_per_s);
  return {{"seconds", rounded(rates->seconds)},
          {"bytes_per_s", rounded(rates->bytes_per_s)},
          {"objects_per_s", rounded(rates->objects_per_s)},
          {"large_bytes_per_s", rounded(rates->large_bytes_per_s)},
          {"large_objects_per_s", rounded(rates->large_objects_per_s)},
          {"small_objects_per_s", std::move(small)},
          {"small_left_out", rates->small.size() - std::min(most, rates->small.size())}};
}

Json pauses(const std::optional<explain::GoPauseSummary>& pauses) {
  if (!pauses) return nullptr;
  return {{"collections", pauses->collections},
          {"missed", pauses->missed},
          {"pause_total_ns", pauses->total_ns},
          {"pause_longest_ns", pauses->longest_ns},
          {"marks", pauses->marks},
          {"mark_total_ns", pauses->marks > 0 ? Json(pauses->mark_total_ns) : Json(nullptr)},
          {"mark_longest_ns", pauses->marks > 0 ? Json(pauses->mark_longest_ns) : Json(nullptr)},
          {"listed", pauses->listed}};
}

Json time(const timeline::WallClock& clock, TimeNs at) {
  const std::optional<std::string> text = rfc3339(clock, at);
  return text ? Json(*text) : Json(nullptr);
}

Json texts(const Attribution& all, uint32_t stack) {
  return frame_texts(all, stack, explain::FrameText::kShort);
}

void add_index(const char* key, uint32_t value, bool indexes, Json& out) {
  if (indexes) out[key] = value == explain::kNoIndex ? Json(nullptr) : Json(value);
}

Json frame_text(const Attribution& all, uint32_t frame) {
  return frame < all.frames.size() ? Json(text_of(all.frames[frame], explain::FrameText::kShort))
                                   : Json(nullptr);
}

Json sites(const explain::GoAllocationSites& all, const Attribution& table, bool indexes) {
  Json out = Json::array();
  for (const explain::GoAllocationSite& site : all.heaviest) {
    out.push_back({{"bytes", site.bytes ? Json(*site.bytes) : Json(nullptr)},
                   {"samples", site.samples},
                   {"frames", texts(table, site.stack)}});
    add_index("stack", site.stack, indexes, out.back());
  }
  return out;
}

Json steps(const explain::GoSteps& all, const Attribution& table, const timeline::WallClock& clock,
           bool indexes) {
  Json out = Json::array();
  for (const explain::GoStep& step : all.steps) {
    Json allocated = nullptr;
    if (step.objects > 0) {
      allocated = {{"objects", step.objects},
                   {"bytes", step.object_bytes},
                   {"last", time(clock, step.allocated)},
                   {"frames", texts(table, step.stack)}};
      add_index("stack", step.stack, indexes, allocated);
    }
    out.push_back({{"since", time(clock, step.since)},
                   {"t", time(clock, step.time)},
                   {"bytes", step.bytes},
                   {"allocated", std::move(allocated)}});
  }
  return out;
}

Json holders(const std::optional<explain::HeldSummary>& held, const Attribution& table, bool indexes) {
  if (!held) return nullptr;
  Json out = {{"complete", held->complete},
              {"bytes", held->bytes},
              {"objects", held->objects},
              {"holders", Json::array()}};
  for (const explain::HolderSummary& each : held->holders) {
    const bool variable = each.kind == events::GoHolder::Kind::kVariable;
    out["holders"].push_back({{"kind", word(each.kind)},
                              {"name", text_or_null(each.name)},
                              {"used_by", text_or_null(each.used_by)},
                              {"address", variable ? Json(each.address) : Json(nullptr)},
                              {"count", each.count != 0 ? Json(each.count) : Json(nullptr)},
                              {"created_at", frame_text(table, each.created_at)},
                              {"bytes", each.bytes},
                              {"objects", each.objects},
                              {"resident_bytes", each.resident_bytes},
                              {"shared_bytes", each.also_bytes},
                              {"frames", texts(table, each.stack)}});
    add_index("stack", each.stack, indexes, out["holders"].back());
  }
  return out;
}

}  // namespace

Json go_summary(const explain::ProcessExplanation& process, const timeline::WallClock& clock, bool indexes) {
  if (!process.go) return nullptr;
  const explain::GoSummary& go = *process.go;
  return {{"library", text_or_null(go.library)},
          {"version", text_or_null(go.version)},
          {"race", go.race},
          {"cgo", go.cgo},
          {"stripped", go.stripped},
          {"layout", word(go.layout)},
          {"layout_problem", text_or_null(go.layout_problem)},
          {"settings", settings(go.totals)},
          {"totals", totals(go.totals)},
          {"gc", pauses(go.pauses)},
          {"allocation", rates(go.allocation, kEveryClass)},
          {"allocation_sites", sites(go.sites, process.attribution, indexes)},
          {"allocation_sites_left_out", go.sites.left_out},
          {"steps", steps(go.steps, process.attribution, clock, indexes)},
          {"steps_left_out", go.steps.left_out},
          {"held", holders(go.held, process.attribution, indexes)}};
}

Json go_cycle(const std::optional<explain::GoCycle>& cycle) {
  if (!cycle) return nullptr;
  return {{"collection", cycle->collection},
          {"pause_ns", cycle->pause_ns},
          {"mark_ns", cycle->mark_ns ? Json(*cycle->mark_ns) : Json(nullptr)}};
}

Json go_heap_reading(const std::optional<explain::GoHeapReading>& reading) {
  if (!reading) return nullptr;
  return {
      {"quiet", reading->quiet}, {"spans", reading->spans}, {"spans_in_motion", reading->spans_in_motion}};
}

Json go_point(const std::optional<explain::GoTimelinePoint>& point) {
  if (!point) return nullptr;
  return {{"live", point->live_bytes},
          {"goal", point->goal_bytes ? Json(*point->goal_bytes) : Json(nullptr)},
          {"allocated", point->allocated_bytes},
          {"freed", point->freed_bytes},
          {"gc_cycle", point->gc_cycle},
          {"released", point->released_bytes},
          {"GOGC", percent(point->gc_percent)},
          {"GOMEMLIMIT", limit(point->memory_limit_bytes)},
          {"allocation", rates(point->allocation, kClassesOfPoint)}};
}

Json allocations(const explain::ProcessExplanation& process) {
  constexpr size_t kMost = 100;
  if (!process.allocations) return nullptr;
  Json sites = Json::array();
  for (const explain::AllocationSite& site : process.allocations->sites) {
    if (sites.size() == kMost) break;
    sites.push_back(
        {{"where", text_or_null(site.where)}, {"object_bytes", site.bytes}, {"calls", site.calls}});
  }
  return {{"calls", process.allocations->calls},
          {"seconds", process.allocations->seconds},
          {"sites", std::move(sites)}};
}

Json go_calls(const explain::ProcessExplanation& process, const timeline::WallClock& clock, bool indexes) {
  Json out = Json::array();
  for (const explain::GoCallSummary& call : process.go_calls) {
    const auto first = rfc3339(clock, call.first), last = rfc3339(clock, call.last);
    out.push_back({{"what", events::go_function_name(call.what)},
                   {"calls", call.calls},
                   {"bytes", call.bytes},
                   {"object_bytes", call.object_bytes != 0 ? Json(call.object_bytes) : Json(nullptr)},
                   {"first", first ? Json(*first) : Json(nullptr)},
                   {"last", last ? Json(*last) : Json(nullptr)},
                   {"frames", texts(process.attribution, call.stack)}});
    add_index("stack", call.stack, indexes, out.back());
  }
  return out;
}

Json goroutines(const explain::ProcessExplanation& process, const timeline::WallClock& clock, bool indexes) {
  if (!process.goroutines) return nullptr;
  auto time = [&](TimeNs at) {
    const std::optional<std::string> text = rfc3339(clock, at);
    return text ? Json(*text) : Json(nullptr);
  };
  Json out = {
      {"t", time(process.goroutines->time)}, {"count", process.goroutines->count}, {"groups", Json::array()}};
  for (const explain::GoroutineGroup& group : process.goroutines->groups) {
    out["groups"].push_back(
        {{"count", group.count},
         {"wait_reason", text_or_null(group.wait_reason)},
         {"site", frame_text(process.attribution, group.site)},
         {"created_at", frame_text(process.attribution, group.created_at)},
         {"waiting_at_least_since", group.waiting_since ? time(*group.waiting_since) : Json(nullptr)},
         {"kept_bytes", group.kept_bytes ? Json(*group.kept_bytes) : Json(nullptr)},
         {"stack_bytes", group.stack_bytes},
         {"frames", texts(process.attribution, group.stack)}});
    Json& entry = out["groups"].back();
    add_index("stack", group.stack, indexes, entry);
    add_index("site_frame", group.site, indexes, entry);
    add_index("created_at_frame", group.created_at, indexes, entry);
  }
  return out;
}

}  // namespace memwhy::report
