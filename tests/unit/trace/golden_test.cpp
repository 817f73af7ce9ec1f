// SPDX-License-Identifier: Apache-2.0
// Files of format 1.0 stay readable, and the worked example of FORMAT.md is what the writer really writes.
#include "unit/trace/samples.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "trace/messages.h"

namespace memwhy::trace::test {
namespace {

// The promise of FORMAT.md: from the first release on, newer versions read every older recording.
//
// For each release: a list of events here, at least one of each kind that it has; its recording in tests/data/traces,
// written once by that release (MEMWHY_WRITE_GOLDEN=1 writes v1.memwhy, and only where it is not there); a test that reads
// it. From the release on neither is changed: they are what somebody's old recording holds. A field that a later version
// adds has its default here; a list that no longer compiles is mended without changing what it says.
GoCounters golden_counters() {
  return {70 << 20, 1 << 20, 5, 6, 4096, 7, 8, 9, 10, 11, 12, 13, INT64_MAX, 100, 38};
}

std::vector<Event> golden_opening() {
  return {
      {1'000'000'000, RecordingInfo{"0.1.0", "web-1", "6.18.5", "x86_64", 4, 4096, 0, {"pid 4711"}}},
      {1'000'000'000, ClockAnchor{1'000'000'000, 1'500'000'000, 1'795'311'428'000'000'000, 4'295'000}},
      {1'000'000'000, HookReport{{{"page_fault_user", "tp_btf", "page faults in user mode"}},
                                 "direct",
                                 {"hugetlb"},
                                 {{"CAP_BPF", "kept by sampler: to read the table"}}}},
      {1'000'000'100, BinaryInfo{binary(1), "/usr/bin/web", 0xfe01, 1234, "a1b2c3", true, false, "",
                                 GoBuild{"go1.26.8", true, false, ""}}},
      {1'000'000'200,
       SpaceStart{
           space(1), 4711, StartHow::kAttached, {}, "web", "/usr/bin/web", binary(1), 77, "/web", "x86-64"}},
      {1'000'000'300,
       VmaList{
           space(1),
           {{{0x400000, 0x500000}, true, false, true, false, 0, 0xfe01, 1234, "/usr/bin/web", false, false},
            {{0x7f1234600000, 0x7f1274600000},
             true,
             true,
             false,
             false,
             0,
             0,
             0,
             "[anon: Go: heap]",
             false,
             false}}}}};
}

std::vector<Event> golden_readings() {
  return {{1'090'000'000,
           GoProfile{space(1), GoProfile::Source::kBuckets, 524'288, true, {{65'536, 2, 3, {0x45d2a1, 5}}}}},
          {1'090'000'000, GoReading{space(1), 1, GoLayout::kDwarf, true, 5, 6, golden_counters()}},
          {1'090'000'000,
           RuntimePages{space(1),
                        1,
                        "go",
                        Trust::kVerified,
                        "",
                        {"heap", "stack"},
                        {{0x7f1234600, 512, 0, 2'000'000, 90'000, 7'152}, {0x7f1234805, 2, 1, 0, 0, 0}},
                        {0x7f1234600040}}},
          {1'090'000'000,
           RuntimePages{
               space(1), 1, "glibc", Trust::kUnverified, "an arena moved while it was read", {}, {}, {}}},
          {1'100'000'000, PageScan{space(1),
                                   1,
                                   1'050'000'000,
                                   true,
                                   "PAGEMAP_SCAN",
                                   {{0x7f1234600, 512, 1}, {0x7f1234805, 3, 0}},
                                   Counters{space(1), 2'109'440, 0, 0, 0, 0, 0, 0, 0, 9, {}, {}},
                                   {}}},
          {1'200'000'000, ThreadList{space(1), {{4711, 0x7ffc00001000, 0x7f1200000740}}}},
          {1'200'000'000,
           Counters{space(1), 2'109'440, 4096, 0, 0, 2'200'000, 8192, 0, 524'288, 9, 3'000'000, {}}},
          {1'250'000'000,
           GoGoroutines{
               space(1),
               1000,
               false,
               {{5, "chan send", 0x45d2a1, {0x45d2a2}, 40'960, 81, 7, 10, {{0xc000, 64, {0x45d2a3}}}, 3}}}},
          {1'260'000'000, GoStatistics{space(1),
                                       golden_counters(),
                                       {{38, 1'732'281'600'000'000'000, 41'200}},
                                       GoAllocations{{{8, 9}, {16, 1}}, 1 << 20, 3}}}};
}

std::vector<Event> golden_calls() {
  return {
      {1'300'000'000, Stack{stack(1), space(1), false, false, {0x45d2a1, 0x45d300}}},
      {1'300'000'000, Stack{stack(2), space(1), true, true, {0x45d2a1}, Unwind::kGuess, 1}},
      {1'300'500'000, Stack{stack(2), space(1), false, false, {0x45d2a1, 0x45d300}, Unwind::kRecovered}},
      {1'300'000'000, GoCall{space(1), 4713, GoFunction::kHeapGrow, 4 << 20, stack(1), 4'295'074}},
      {1'300'000'000,
       SymbolInfo{space(1), 0x45d2a1, false, binary(1), 0x5d2a1, {{"main.grow", "main.go", 42}}}},
      {1'300'000'000,
       VmaMapped{space(1), 4713, {0x7f1274600000, 0x7f1274610000}, 3, 0x22, -1, 0, stack(1), 4'295'075}},
      {1'400'000'000, PageTableRuns{space(1), false, 4'295'100, {{0x7f1234805, 3, stack(1), 4'295'070, 1}}}},
      {1'500'000'000, VmaAdvised{space(1), 4713, {0x7f1274600000, 0x7f1274604000}, 14, {}, 4'295'125}},
      {1'500'000'000,
       VmaUnmapped{
           space(1), 4713, {0x7f1274604000, 0x7f1274605000}, UnmapWhy::kMadvise, 4, stack(1), 4'295'126}},
      {1'500'000'000, VmaMoved{space(1),
                               4713,
                               {0x7f1274600000, 0x7f1274601000},
                               {0x7f1280000000, 0x7f1280002000},
                               {},
                               4'295'127}},
      {1'500'000'000, HeapGrown{space(1), 4711, {0x55550000, 0x55570000}, {}, 4'295'128}},
      {1'600'000'000, Coverage{{{"vma_map", 2, 1, 1}},
                               {{"fault_user", 515, 50'000}},
                               515,
                               515,
                               0,
                               1,
                               0,
                               0,
                               0,
                               2,
                               8192,
                               1,
                               65536}},
      {1'650'000'000,
       AllocatorHeap{space(1), 7,         "glibc",   "",    1'000,        2,  0,    1 << 20, 70,   60,
                     8,        50,        40,        30,    20,           10, 4096, 1,       3,    0,
                     8,        128 << 10, 128 << 10, false, {{64, 4096}}, "", 0,    0,       false}},
      {1'660'000'000, CgroupMemory{"/web", true, 1 << 20, 2 << 20, {}, {}, 3 << 18, 1 << 17}},
      {1'670'000'000, AllocationCall{space(1), 4713, 1'000, stack(1), 4'295'080}},
      {1'700'000'000, Loss{space(1), "removal", 1}},
      {1'800'000'000, OomVictim{space(1), 4711}},
      {1'800'000'000, ProcessExit{space(1), 4711, 9, 2'109'440}},
      {1'800'000'000, SpaceEnd{space(1), EndWhy::kExited}},
      {1'900'000'000, RecordingEnd{"target_exited"}}};
}

std::vector<Event> golden_events() {
  std::vector<Event> events = golden_opening();
  for (const auto& part : {golden_readings(), golden_calls()})
    events.insert(events.end(), part.begin(), part.end());
  return events;
}

std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

constexpr const char* kVersion1 = MEMWHY_TEST_DATA "/data/traces/v1.memwhy";

TEST(Golden, a_file_of_format_1_0_reads_as_it_was_written) {
  if (std::getenv("MEMWHY_WRITE_GOLDEN") != nullptr && ::access(kVersion1, F_OK) != 0) {
    const std::string bytes = recording_of(golden_events(), 8, "target_exited");
    std::ofstream(kVersion1, std::ios::binary) << bytes;
  }
  const auto reader = Reader::open(kVersion1);
  ASSERT_TRUE(reader.ok());
  Collector read;
  const auto summary = reader->read_all(read);
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(summary->complete);
  EXPECT_EQ(summary->ended, "target_exited");
  EXPECT_EQ(summary->uuid, kUuid);
  EXPECT_EQ(summary->major, 1);
  EXPECT_EQ(summary->minor, 0);
  EXPECT_EQ(summary->events_unknown, 0u);
  EXPECT_EQ(read.events, golden_events());
}

// A release without one of its kinds in its recording would promise it without proof.
TEST(Golden, every_kind_of_format_1_0_is_in_its_file) {
  std::set<EventKind> kinds;
  for (const Event& event : golden_events()) kinds.insert(kind_of(event.payload));
  constexpr uint8_t kLastKindOfFormat1_0 = 32;
  for (uint8_t kind = 1; kind <= kLastKindOfFormat1_0; ++kind)
    EXPECT_TRUE(kinds.contains(static_cast<EventKind>(kind))) << kind_name(static_cast<EventKind>(kind));
}

// The lines of the document's example: "0028  c4 4d 57 43   what it means".
std::string document_bytes() {
  const std::string document = file_bytes(MEMWHY_TEST_DATA "/../userspace/trace/FORMAT.md");
  const auto hex = [](std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  };
  std::istringstream lines(document);
  std::string bytes;
  for (std::string text; std::getline(lines, text);) {
    const std::string offset = text.substr(0, 4);
    if (text.size() < 8 || !hex(offset) || text.compare(4, 2, "  ") != 0) continue;
    EXPECT_EQ(std::stoul(offset, nullptr, 16), bytes.size()) << text;
    std::istringstream numbers(text.substr(6, text.find("  ", 6) - 6));
    for (std::string number; numbers >> number;) bytes += static_cast<char>(std::stoul(number, nullptr, 16));
  }
  return bytes;
}

TEST(Golden, the_example_of_the_document_is_what_the_writer_writes) {
  const std::vector<Event> example = {
      {81'200'000'000, Stack{stack(9), space(1), false, false, {0x45d2a1, 0x45d300}}},
      {81'200'000'000,
       VmaMapped{space(1), 4713, {0x7f1234600000, 0x7f1234610000}, 3, 0x22, -1, 0, stack(9), 4'295'213}},
      {81'200'001'000,
       PageTableRuns{space(1),
                     false,
                     4'295'300,
                     {{0x7f1234605, 3, stack(9), 4'295'213, 1}, {0x7f1234608, 1, stack(9), 4'295'220, 0}}}}};
  const std::string written = recording_of(example);
  std::string hex;
  for (size_t at = 0; at < written.size(); ++at) {
    if (at % 16 == 0) hex += fmt::format("\n{:04x} ", at);
    hex += fmt::format(" {:02x}", static_cast<uint8_t>(written[at]));
  }
  EXPECT_TRUE(document_bytes() == written) << "the writer writes" << hex;
}

}  // namespace
}  // namespace memwhy::trace::test
