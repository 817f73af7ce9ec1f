// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a recording that anybody may have made, through the reader, the timeline, the explanation and both formats.
// An input is a .memwhy file: `memwhy explain` shows what it does. How inputs are made is trace_mutator.cpp's.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "explain/explainer.h"
#include "explain/heaviest.h"
#include "fuzz/support/check.h"
#include "report/json.h"
#include "report/text.h"
#include "trace/info.h"
#include "trace/reader.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kMostDescribed = 200;

class DescribingSink final : public events::EventSink {
 public:
  void on_event(const events::Event& event) override {
    explainer.on_event(event);
    if (++count_ <= kMostDescribed)
      check(!events::describe(event, 0).empty(), "every event can be described");
  }
  explain::Explainer explainer;

 private:
  size_t count_ = 0;
};

void check_process(const explain::ProcessExplanation& process) {
  uint64_t sum = 0;
  std::set<std::string> ids;
  for (const explain::LedgerLine& line : process.ledger) {
    sum += line.bytes;
    check(ids.insert(std::string(line.id())).second, "an owner is in the ledger once");
    uint64_t top = 0;
    for (const explain::Entry& entry : heaviest(process.attribution, line)) top += entry.bytes;
    check(top <= line.bytes, "what stands under an owner is not more than it has");
    check(std::is_sorted(line.ages.rbegin(), line.ages.rend()), "less memory is older than a longer time");
  }
  check(process.ledger.empty() || sum == process.rss.bytes, "the ledger sums to the RSS");
  uint64_t cells = 0;
  for (const explain::Cell& cell : process.attribution.cells) cells += cell.bytes();
  check(cells == sum && process.attribution.cells.size() <= explain::kMostCells, "so do its cells");
  for (const explain::TimelinePoint& point : process.timeline) {
    uint64_t then = 0;
    for (const auto& [id, bytes] : point.ledger) then += bytes;
    check(point.ledger.empty() || then == point.rss_bytes,
          "the ledger sums to the RSS at each point of time");
  }
  for (const explain::Finding& finding : process.findings) {
    check(finding.share >= 0 && finding.share <= 1, "a share is between 0 and 1");
    check(!finding.claim.empty(), "a finding says something");
  }
}

// By its own eyes, not by the code that escapes.
void check_text(const std::string& text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t byte = at(i);
    check(byte == '\n' || (byte >= 0x20 && byte != 0x7f), "the text has no control characters");
    check(byte != 0xc2 || at(i + 1) >= 0xa0, "nor those of eight bits");
    const bool hides = byte == 0xe2 && at(i + 1) == 0x80 && (at(i + 2) & 0x0f) >= 0x0b;
    check(!hides || at(i + 2) < 0x8b || (at(i + 2) > 0x8f && at(i + 2) < 0xa8) || at(i + 2) > 0xae,
          "nothing in the text is without width or turns it round");
  }
  try {
    (void)nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    check(false, "the text is valid UTF-8");
  }
}

void check_json(const std::string& json) {
  check(std::all_of(json.begin(), json.end(), [](char c) { return c == '\n' || (c >= ' ' && c < 0x7f); }),
        "the JSON is ASCII without control characters");
  check(nlohmann::json::accept(json), "the JSON is valid");
}

void explain_file(std::string file) {
  const Result<trace::Reader> reader = trace::Reader::from_bytes(std::move(file));
  if (!reader) return;
  DescribingSink sink;
  const Result<trace::ReadSummary> summary = reader->read_all(sink);
  if (!summary) return;
  const explain::Explanation explanation = sink.explainer.finish(summary->damage);
  for (const explain::ProcessExplanation& process : explanation.processes) check_process(process);
  check_json(report::to_json(explanation, {true}));
  for (const bool full : {false, true})
    check_text(report::to_text(explanation, {.full = full, .style = {.unicode = false}}));
  check(trace::info(*reader).ok(), "what can be explained has its facts");
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  memwhy::fuzz::explain_file(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
