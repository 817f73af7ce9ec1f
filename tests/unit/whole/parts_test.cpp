// SPDX-License-Identifier: Apache-2.0
// Each part of a rotated recording of a Go program, explained alone, says what the whole recording says of its last moment:
// the ledger, the heap profile, the goroutines and the names of their code.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "explain/explainer.h"
#include "report/json.h"
#include "support/event_script.h"
#include "trace/output.h"
#include "trace/reader.h"
#include "trace/writer.h"

namespace memwhy {
namespace {

using events::Event;
using Json = nlohmann::json;

constexpr TimeNs kSecond = 1'000'000'000;
constexpr int kScans = 24;

// What is read once, as of a program whose collector rests.
constexpr const char* kBegin = R"(
  @100 info tool=0.1.0 what="pid 7"
  anchor
  hooks page_fault_user:tp_btf
  binary b1 /srv/api inode=7 device=1 go=go1.26.8
  attach 1 pid=7 comm=api exe=/srv/api binary=b1
  symbol 1 0x401000 binary=b1 main.park@/srv/main.go:47
  symbol 1 0x401100 ret binary=b1 main.start@/srv/main.go:40
  symbol 1 0x401200 ret binary=b1 main.load@/srv/main.go:36
  symbol 1 0x401300 binary=b1 main.touch@/srv/main.go:50
  stack s1 1 0x401300
  vmas 1
    400+16 r-xp /srv/api inode=7 device=1
    c000000+4096 rw-p
  @100.5 go-profile 1: 64K published=100 0x401200
  goroutines 1: 5 "chan send" by=0x401100 stack=10K kept=1M objects=3 0x401000
)";

// A scan as the recorder tells it: the table, the runtime, the pass.
std::vector<Event> scan(int number, bool restate) {
  const int live = 1000 + 10 * number;
  return testing::parse_script(
      "@" + std::to_string(101 + number) + (restate ? " table 1 restated" : " table 1") +
      ": c000000+1500 s1 @100.9 w\n" + "go-statistics 1 in_use=8M live=4M gc=" + std::to_string(number) +
      "\ngo-heap 1 quiet spans=9 in_use=8M live=4M gc=" + std::to_string(number) +
      " n=" + std::to_string(number) + "\n  c000000+1500 heap live=" + std::to_string(live) +
      "K dead=100K free=" + std::to_string(6000 - 100 - live) +
      "K\n  c0005dc+40 stack\n  c000604+100 idle\n" + "scan 1 n=" + std::to_string(number) +
      ": 400+4 file, c000000+1640\n");
}

// Calls of another process: bytes that do not shrink.
Event noise(std::mt19937_64& random, TimeNs time) {
  const uint64_t start = (random() >> 20) << 12;
  return {time, events::VmaMapped{SpaceId{2},
                                  static_cast<Pid>(random() >> 40),
                                  {start, start + ((random() >> 44) << 12)},
                                  3,
                                  0x22,
                                  -1,
                                  0,
                                  StackId::kNone,
                                  random() >> 30}};
}

// What has to be the same.
Json essence(const explain::Explanation& explanation) {
  const Json all = Json::parse(report::to_json(explanation));
  Json out;
  for (const Json& process : all["processes"]) {
    if (process["pid"] != 7) continue;
    for (const Json& line : process["ledger"]) {
      Json frames = Json::array();
      for (const Json& top : line["top"]) frames.push_back(top["frames"]);
      out["ledger"].push_back({{"id", line["id"]}, {"bytes", line["bytes"]}, {"frames", frames}});
    }
    out["rss"] = process["rss"]["bytes"];
    out["heap_profile"] = process["heap_profile"];
    out["goroutines"] = process["goroutines"];
    out["layout"] = process["go"]["layout"];
    out["totals"] = process["go"]["totals"];
  }
  return out;
}

struct Collector : events::EventSink {
  void on_event(const Event& event) override { all.push_back(event); }
  std::vector<Event> all;
};

// Bytes of the lines of Go.
std::map<std::string, uint64_t> go_lines(const explain::Explanation& explanation) {
  std::map<std::string, uint64_t> out;
  for (const explain::ProcessExplanation& process : explanation.processes)
    for (const explain::LedgerLine& line : process.ledger)
      if (process.pid == 7 && line.id().starts_with("go.")) out[std::string(line.id())] = line.bytes;
  return out;
}

TEST(Parts, EachAloneSaysWhatTheWholeSaysOfItsLastMoment) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("memwhy-parts-" + std::to_string(::getpid()));
  std::filesystem::create_directory(directory);
  const std::string path = directory / "api.memwhy";
  auto writer = trace::Writer::create(*trace::create_output(path), {path, 64 << 10});
  ASSERT_TRUE(writer.ok());
  std::vector<Event> all;
  std::vector<size_t> begins = {0};  // of each part: the first event of `all` in it
  const auto give = [&](Event event) {
    (*writer)->on_event(event);
    while ((*writer)->totals().parts > begins.size()) begins.push_back(all.size());
    all.push_back(std::move(event));
  };
  for (Event& event : testing::parse_script(kBegin)) give(std::move(event));
  std::mt19937_64 random(3);
  for (int number = 1; number <= kScans; ++number) {
    for (Event& event : scan(number, number == 1 || (*writer)->wants_restate())) give(std::move(event));
    for (uint64_t i = 1; i <= 1000; ++i)
      give(noise(random, (101 + static_cast<uint64_t>(number)) * kSecond + i * 900'000));
  }
  ASSERT_TRUE((*writer)->finish("stopped").ok());
  begins.push_back(all.size());
  ASSERT_GE(begins.size(), 5u) << "four parts at least";

  explain::Explainer whole;
  for (size_t part = 0; part + 1 < begins.size(); ++part) {
    // What opens it says what the heap was when it began.
    Collector told;
    ASSERT_TRUE(
        trace::Reader::open(trace::part_path(path, static_cast<uint32_t>(part)))->read_all(told).ok());
    const auto first = std::find(told.all.begin(), told.all.end(), all[begins[part]]);
    ASSERT_NE(first, told.all.end());
    explain::Explainer opening;
    std::for_each(told.all.begin(), first, [&](const Event& event) { opening.on_event(event); });
    EXPECT_EQ(go_lines(opening.finish()), go_lines(whole.finish())) << "part " << part;

    for (size_t i = begins[part]; i < begins[part + 1]; ++i) whole.on_event(all[i]);
    explain::Explainer alone;
    const auto reader = trace::Reader::open(trace::part_path(path, static_cast<uint32_t>(part)));
    ASSERT_TRUE(reader.ok());
    ASSERT_TRUE(reader->read_all(alone).ok());
    const Json expected = essence(whole.finish());
    EXPECT_EQ(essence(alone.finish()), expected) << "part " << part;
    EXPECT_EQ(expected["heap_profile"]["source"], "buckets");
    EXPECT_NE(expected["ledger"].dump().find("go.heap.live"), std::string::npos);
    EXPECT_NE(expected["goroutines"].dump().find("main.park"), std::string::npos);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace memwhy
