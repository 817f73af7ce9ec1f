// SPDX-License-Identifier: Apache-2.0
// page_evidence FILE [PID:START-END …]: what the model says of single pages, after each scan, as JSON; START and END in hex.
//
// What it is: the referee's window for scenarios, a recording played through the real timeline/. What it is not: a command
// of memwhy, which answers by owner. Exit: 0 · 2 usage · 6 damaged, or not a recording.
//
//   [{"pid": 4711, "scan": 2, "start": 81200000000, "resident": 1380, "how": {"fault": 1024, "before": 356}, "stale": 0,
//     "ranges": [[{"how": "fault", "stack": ["touch_anon", "main"], "pages": 1024}]]}, …]
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/exit_status.h"
#include "base/result.h"
#include "timeline/timeline.h"
#include "trace/reader.h"

namespace memwhy {
namespace {

using Json = nlohmann::ordered_json;
using timeline::AddressSpace;

struct Range {
  Pid pid = 0;
  PageNumber first = 0, end = 0;
};

const char* name_of(timeline::How how) {
  constexpr const char* kNames[timeline::kHowCount] = {"fault",        "kernel-fault",  "huge-block",
                                                       "fault-around", "moved",         "inherited",
                                                       "mmap-site",    "before-attach", "unknown"};
  return kNames[static_cast<size_t>(how)];
}

std::optional<Range> parse(const char* text) {
  unsigned pid = 0;
  unsigned long long start = 0, end = 0;
  int used = 0;
  if (std::sscanf(text, "%u:%llx-%llx%n", &pid, &start, &end, &used) != 3 || text[used] != 0)
    return std::nullopt;
  return Range{static_cast<Pid>(pid), start / kPageBytes, end / kPageBytes};
}

class Evidence : public events::EventSink {
 public:
  explicit Evidence(std::vector<Range> ranges) : ranges_(std::move(ranges)), timeline_(observer()) {}

  void on_event(const events::Event& event) override {
    if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) scan_start_ = scan->start;
    timeline_.on_event(event);
  }

  // Names come after the scan that needs them: once all is read.
  const Json& named() {
    for (Json& scan : scans_) {
      for (Json& groups : scan["ranges"]) {
        for (Json& group : groups) {
          group["stack"] =
              names(SpaceId{scan["space"].get<uint32_t>()}, StackId{group["stack"].get<uint32_t>()});
        }
      }
    }
    return scans_;
  }

 private:
  timeline::Timeline::ScanObserver observer() {
    return [this](const AddressSpace& space, const timeline::ScanResult& result) { add(space, result); };
  }

  void add(const AddressSpace& space, const timeline::ScanResult& result) {
    std::map<std::string, uint64_t> how;
    uint64_t sum = 0, stack_lost = 0;
    for (const timeline::PageGroup& group : result.groups) {
      how[name_of(group.how)] += group.pages;
      sum += group.pages;
      stack_lost += group.stack_lost_pages;
    }
    Json ranges = Json::array();
    for (const Range& range : ranges_) {
      if (range.pid == space.identity().tgid)
        ranges.push_back(pages_of(space, range));
      else
        ranges.push_back(nullptr);
    }
    scans_.push_back({{"pid", space.identity().tgid},
                      {"space", static_cast<uint32_t>(space.id())},
                      {"comm", space.identity().comm},
                      {"scan", result.scan},
                      {"start", scan_start_},
                      {"time", result.time},
                      {"complete", result.complete},
                      {"resident", result.resident_pages},
                      {"sum", sum},
                      {"how", how},
                      {"stale", result.stale_pages},
                      {"doubtful", result.doubtful_pages},
                      {"stack_lost", stack_lost},
                      {"ranges", std::move(ranges)}});
  }

  Json pages_of(const AddressSpace& space, const Range& range) const {
    std::map<std::pair<timeline::How, StackId>, uint64_t> found;
    for (PageNumber page = range.first; page < range.end; ++page) {
      if (const auto evidence = space.evidence(page)) ++found[{evidence->how, evidence->stack}];
    }
    Json groups = Json::array();
    for (const auto& [key, pages] : found) {
      const auto [how, stack] = key;
      groups.push_back({{"how", name_of(how)}, {"stack", static_cast<uint32_t>(stack)}, {"pages", pages}});
    }
    return groups;
  }

  Json names(SpaceId space, StackId id) const {
    Json functions = Json::array();
    const events::Stack* stack = timeline_.stack(id);
    for (size_t i = 0; stack != nullptr && i < stack->frames.size(); ++i) {
      const events::SymbolInfo* symbol = timeline_.symbol(space, stack->frames[i], i != 0);
      if (symbol == nullptr) continue;
      for (const events::SourceFrame& frame : symbol->frames) functions.push_back(frame.function);
    }
    return functions;
  }

  std::vector<Range> ranges_;
  timeline::Timeline timeline_;
  TimeNs scan_start_ = 0;
  Json scans_ = Json::array();
};

int run(int argc, char** argv) {
  std::vector<Range> ranges;
  for (int i = 2; i < argc; ++i) {
    const std::optional<Range> range = parse(argv[i]);
    if (!range)
      argc = 0;
    else
      ranges.push_back(*range);
  }
  if (argc < 2) {
    std::fputs("usage: page_evidence FILE [PID:START-END ...]\n", stderr);
    return exit_status(ErrorCode::kUsage);
  }
  Evidence evidence(std::move(ranges));
  const Result<trace::Reader> reader = trace::Reader::open(argv[1]);
  if (!reader) {
    std::fprintf(stderr, "page_evidence: %s\n", reader.error().message().c_str());
    return exit_status(reader.error().code());
  }
  const Result<trace::ReadSummary> summary = reader->read_all(evidence);
  if (!summary) {
    std::fprintf(stderr, "page_evidence: %s\n", summary.error().message().c_str());
    return exit_status(summary.error().code());
  }
  std::puts(evidence.named().dump(1).c_str());
  return 0;
}

}  // namespace
}  // namespace memwhy

int main(int argc, char** argv) { return memwhy::run(argc, argv); }
