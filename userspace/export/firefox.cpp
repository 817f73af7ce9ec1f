// SPDX-License-Identifier: Apache-2.0
// firefox: a processed profile of the Firefox Profiler (profiler.firefox.com opens a local file without uploading it), version
// 49, which it and its tools convert to their own. Each process is a thread. Each cell is a sample of so many bytes at the
// birth of its oldest page, and the same again as a native allocation; each owner is a counter over time and a category.
//
//   samples      time 1,204 ms  weight 33,554,432  stack main ► work      the root of each stack is the owner
//   counters     anon.other   +33,554,432 at 10,000 ms, −4,096 at 20,000 ms: differences, which it sums up
//   markers      step, GC, fork …
#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "export/code_files.h"
#include "export/exporter.h"
#include "export/samples.h"
#include "export/string_table.h"
#include "report/clock.h"
#include "report/names.h"

namespace memwhy::exports {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kProcessedVersion = 49;
constexpr int kGeckoVersion = 28;
constexpr int kLibraryResource = 1;

std::string firefox_text(const Json& json) {
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Categories are owners; 0 is the grey one that has to be there.
class Categories {
 public:
  size_t number(std::string_view owner) {
    const auto found = std::find(names_.begin(), names_.end(), owner);
    const auto place = static_cast<size_t>(found - names_.begin());
    if (found == names_.end()) names_.emplace_back(owner);
    return place;
  }
  Json json() const {
    static constexpr std::array kColours = {"blue",   "orange",    "green",      "purple",
                                            "yellow", "lightblue", "lightgreen", "magenta",
                                            "brown",  "red",       "lightred",   "darkgrey"};
    Json out = Json::array();
    for (size_t i = 0; i < names_.size(); ++i)
      out.push_back({{"name", names_[i]},
                     {"color", i == 0 ? "grey" : kColours[(i - 1) % kColours.size()]},
                     {"subcategories", {"Other"}}});
    return out;
  }

 private:
  std::vector<std::string> names_ = {"Other"};
};

// Columns of one of the profiler's tables, which all have their length beside them.
class Columns {
 public:
  explicit Columns(std::initializer_list<const char*> names) {
    for (const char* name : names) {
      names_.emplace_back(name);
      values_.push_back(Json::array());
    }
  }
  template <typename... T>
  size_t add(T&&... values) {
    size_t column = 0;
    (values_[column++].push_back(std::forward<T>(values)), ...);
    return length_++;
  }
  Json json() {
    Json out = Json::object();
    for (size_t i = 0; i < names_.size(); ++i) out[names_[i]] = std::move(values_[i]);
    out["length"] = length_;
    return out;
  }

 private:
  std::vector<std::string> names_;
  std::vector<Json> values_;
  size_t length_ = 0;
};

// The tables of one thread. Its own strings, functions, frames and stacks.
class FirefoxThread {
 public:
  FirefoxThread(const explain::Explanation& all, const explain::ProcessExplanation& process, Json& libs,
                Categories& categories)
      : all_(all), process_(process), table_(process), code_(process), categories_(categories) {
    resources(libs);
    for (const Place& place : table_.places()) frames_of_places_.push_back(frame(place));
    samples();
    markers();
  }

  Json json() {
    const std::string pid = std::to_string(process_.pid);
    Json strings = Json::array();
    for (const std::string* each : strings_.in_order()) strings.push_back(*each);
    Json samples = samples_.json(), allocations = samples;
    samples["weightType"] = allocations["weightType"] = "bytes";
    return {{"processType", "default"},
            {"processStartupTime", 0},
            {"processShutdownTime", nullptr},
            {"registerTime", 0},
            {"unregisterTime", nullptr},
            {"pausedRanges", Json::array()},
            {"name", clean(process_.comm)},
            {"processName", clean(process_.comm)},
            {"isMainThread", true},
            {"pid", pid},
            {"tid", pid},
            {"samples", std::move(samples)},
            {"nativeAllocations", std::move(allocations)},
            {"markers", markers_.json()},
            {"stackTable", stacks_.json()},
            {"frameTable", frames_.json()},
            {"funcTable", functions_.json()},
            {"resourceTable", resources_.json()},
            {"nativeSymbols", Columns({"libIndex", "address", "name", "functionSize"}).json()},
            {"stringArray", std::move(strings)}};
  }

 private:
  double milliseconds(TimeNs time) const {
    return time > all_.start ? static_cast<double>(time - all_.start) / 1e6 : 0;
  }
  void resources(Json& libs) {
    for (const CodeFile& file : code_.files()) {
      const std::string name = clean(file.module);
      libs.push_back({{"arch", all_.recording.architecture},
                      {"name", name},
                      {"path", name},
                      {"debugName", name},
                      {"debugPath", name},
                      {"breakpadId", ""},
                      {"codeId", file.build_id.empty() ? Json(nullptr) : Json(clean(file.build_id))}});
      resources_.add(libs.size() - 1, strings_.number(name), nullptr, kLibraryResource);
    }
  }
  size_t function(const std::string& name, const std::string& file, int64_t resource) {
    const auto [found, added] =
        function_numbers_.try_emplace({name, file, resource}, function_numbers_.size());
    if (added)
      functions_.add(false, false, strings_.number(name), resource,
                     file.empty() ? Json(nullptr) : Json(strings_.number(file)), nullptr, nullptr);
    return found->second;
  }
  size_t frame(const Place& place) {
    const bool in_code = place.frame != nullptr && place.frame->address != 0;
    const int64_t resource = in_code ? static_cast<int64_t>(code_.of(*place.frame)) : -1;
    return frames_.add(in_code ? Json(place.frame->offset) : Json(-1), 0, nullptr, nullptr,
                       function(place.name, place.file, resource), nullptr, nullptr, nullptr,
                       place.line != 0 ? Json(place.line) : Json(nullptr), nullptr);
  }
  size_t owner_frame(std::string_view owner) {
    const auto found = owner_frames_.find(owner);
    if (found != owner_frames_.end()) return found->second;
    const size_t number =
        frames_.add(-1, 0, categories_.number(owner), 0, function(std::string(owner), "", -1), nullptr,
                    nullptr, nullptr, nullptr, nullptr);
    owner_frames_.emplace(owner, number);
    return number;
  }
  int64_t stack(int64_t prefix, size_t frame, size_t category) {
    const auto [found, added] = stack_numbers_.try_emplace({prefix, frame}, 0);
    if (added)
      found->second =
          static_cast<int64_t>(stacks_.add(frame, category, 0, prefix < 0 ? Json(nullptr) : Json(prefix)));
    return found->second;
  }
  void samples() {
    std::vector<const Sample*> in_order;
    for (const Sample& sample : table_.resident()) in_order.push_back(&sample);
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const Sample* a, const Sample* b) { return a->cell->oldest < b->cell->oldest; });
    for (const Sample* sample : in_order) {
      const size_t category = categories_.number(sample->owner);
      int64_t at = stack(-1, owner_frame(sample->owner), category);
      for (auto place = sample->places.rbegin(); place != sample->places.rend(); ++place)
        at = stack(at, frames_of_places_[*place], category);
      samples_.add(milliseconds(sample->cell->oldest), at, sample->bytes);
    }
  }
  void markers() {
    for (const explain::TimelineEvent& event : process_.events) {
      const bool collection = event.gc.has_value();
      const uint64_t took =
          collection ? std::max(event.gc->mark_ns.value_or(0), event.gc->pause_ns) : uint64_t{0};
      Json data = {{"type", "memwhy"}, {"text", clean(event.text, kMostSentence)}};
      if (event.bytes) data["bytes"] = *event.bytes;
      const double end = milliseconds(event.time);
      markers_.add(std::move(data),
                   strings_.number(collection ? std::string_view("GC") : report::word(event.what)),
                   collection ? milliseconds(event.time - std::min(took, event.time)) : end,
                   collection ? Json(end) : Json(nullptr), collection ? 1 : 0, 0);
    }
  }

  const explain::Explanation& all_;
  const explain::ProcessExplanation& process_;
  const SampleTable table_;
  const CodeFiles code_;
  Categories& categories_;
  StringTable strings_;
  std::map<std::tuple<std::string, std::string, int64_t>, size_t> function_numbers_;
  std::map<std::string, size_t, std::less<>> owner_frames_;
  std::map<std::pair<int64_t, size_t>, int64_t> stack_numbers_;
  std::vector<size_t> frames_of_places_;
  Columns samples_{"time", "stack", "weight"};
  Columns markers_{"data", "name", "startTime", "endTime", "phase", "category"};
  Columns stacks_{"frame", "category", "subcategory", "prefix"};
  Columns frames_{"address",      "inlineDepth",   "category",       "subcategory", "func",
                  "nativeSymbol", "innerWindowID", "implementation", "line",        "column"};
  Columns functions_{"isJS", "relevantForJS", "name", "resource", "fileName", "lineNumber", "columnNumber"};
  Columns resources_{"lib", "name", "host", "type"};
};

Json counter(const explain::Explanation& all, const explain::ProcessExplanation& process,
             const explain::LedgerLine& line, size_t thread, size_t rank) {
  Columns samples({"time", "count"});
  int64_t before = 0;
  for (const explain::TimelinePoint& point : process.timeline) {
    if (point.ledger.empty()) continue;
    int64_t bytes = 0;
    for (const explain::OwnerAmount& amount : point.ledger)
      if (amount.owner == line.owner) bytes = static_cast<int64_t>(amount.bytes);
    const TimeNs since = point.time > all.start ? point.time - all.start : 0;
    samples.add(static_cast<double>(since) / 1e6, bytes - before);
    before = bytes;
  }
  return {{"name", line.id()},
          {"category", "Memory"},
          {"description", line.label()},
          {"pid", std::to_string(process.pid)},
          {"mainThreadIndex", thread},
          {"display",
           {{"graphType", "line-accumulated"},
            {"unit", "bytes"},
            {"color", "orange"},
            {"markerSchemaLocation", nullptr},
            {"sortWeight", rank},
            {"label", line.id()},
            {"tooltipRows",
             {{{"type", "value"},
               {"source", "accumulated"},
               {"format", {{"unit", "bytes"}}},
               {"label", "resident"}}}}}},
          {"samples", samples.json()}};
}

Json meta(const explain::Explanation& all, const Categories& categories) {
  const Json fields = {{{"key", "text"}, {"label", "What"}, {"format", "string"}},
                       {{"key", "bytes"}, {"label", "Bytes"}, {"format", "bytes"}}};
  return {{"version", kGeckoVersion},
          {"preprocessedProfileVersion", kProcessedVersion},
          {"interval", 1},
          {"startTime", static_cast<double>(all.clock.realtime_ns(all.start).value_or(0)) / 1e6},
          {"startTimeAsClockMonotonicNanosecondsSinceBoot", all.start},
          {"processType", 0},
          {"product", "memwhy"},
          {"importedFrom", "memwhy"},
          {"stackwalk", 1},
          {"debug", false},
          {"symbolicated", true},
          {"usesOnlyOneStackType", true},
          {"sourceCodeIsNotOnSearchfox", true},
          {"keepProfileThreadOrder", true},
          {"oscpu", clean(all.recording.kernel_release)},
          {"extensions",
           {{"id", Json::array()}, {"name", Json::array()}, {"baseURL", Json::array()}, {"length", 0}}},
          {"categories", categories.json()},
          {"markerSchema",
           {{{"name", "memwhy"},
             {"tooltipLabel", "{marker.name}"},
             {"tableLabel", "{marker.data.text}"},
             {"chartLabel", "{marker.name}"},
             {"display", {"marker-chart", "marker-table", "timeline-overview"}},
             {"data", fields}}}}};
}

}  // namespace

void write_firefox(const Material& material, Output& out) {
  const explain::Explanation& all = material.explanation;
  Categories categories;
  Json libs = Json::array();
  size_t thread = 0;
  const auto processes = present(all);
  out.put("{\"threads\":[");
  for (const explain::ProcessExplanation* process : processes) {
    out.put(thread++ == 0 ? "\n" : ",\n");
    out.put(firefox_text(FirefoxThread(all, *process, libs, categories).json()));
  }
  out.put("],\n\"counters\":[");
  size_t written = 0;
  for (size_t i = 0; i < processes.size(); ++i) {
    for (const explain::LedgerLine& line : processes[i]->ledger) {
      out.put(written++ == 0 ? "\n" : ",\n");
      out.put(firefox_text(counter(all, *processes[i], line, i, written)));
    }
  }
  out.put("],\n\"libs\":" + firefox_text(libs) + ",\n\"pages\":[],\"profilerOverhead\":[],\n\"meta\":" +
          firefox_text(meta(all, categories)) + "}\n");
}

}  // namespace memwhy::exports
