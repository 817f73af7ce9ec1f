// SPDX-License-Identifier: Apache-2.0
// Files of format 1.0 stay readable, and the worked example of FORMAT.md is what the writer really writes.
#include "unit/trace/samples.h"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string_view>

namespace memwhy::trace::test {
namespace {

// Never change these events nor tests/data/traces/v1.memwhy: they are what somebody's old recording holds.
std::vector<Event> golden_events() {
  return {
      {1'000'000'000, RecordingInfo{"0.1.0", "web-1", "6.18.5", "x86_64", 4, 4096, 0, {"pid 4711"}}},
      {1'000'000'000, ClockAnchor{1'000'000'000, 1'500'000'000, 1'795'311'428'000'000'000, 4'295'000}},
      {1'000'000'000,
       HookReport{{{"page_fault_user", "tp_btf", "page faults in user mode"}}, "direct", {"hugetlb"}}},
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
             false}}}},
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
      {1'300'000'000, Stack{stack(1), space(1), false, false, {0x45d2a1, 0x45d300}}},
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
      {1'700'000'000, Loss{space(1), "removal", 1}},
      {1'800'000'000, OomVictim{space(1), 4711}},
      {1'800'000'000, ProcessExit{space(1), 4711, 9, 2'109'440}},
      {1'800'000'000, SpaceEnd{space(1), EndWhy::kExited}},
      {1'900'000'000, RecordingEnd{"target_exited"}}};
}

std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Golden, a_file_of_format_1_0_reads_as_it_was_written) {
  const auto reader = Reader::open(MEMWHY_TEST_DATA "/data/traces/v1.memwhy");
  ASSERT_TRUE(reader.ok());
  Collector read;
  const auto summary = reader->read_all(read);
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(summary->complete);
  EXPECT_EQ(summary->ended, "target_exited");
  EXPECT_EQ(summary->uuid, kUuid);
  EXPECT_EQ(summary->major, 1);
  EXPECT_EQ(summary->minor, 0);
  EXPECT_EQ(summary->chunks, 5u);
  EXPECT_EQ(read.events, golden_events());
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
