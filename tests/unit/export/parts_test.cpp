// SPDX-License-Identifier: Apache-2.0
// What the formats are made of: names, the stream, mappings over time, files of code; and that the README has every column.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "export/code_files.h"
#include "export/rows.h"
#include "export/samples.h"
#include "unit/export/material.h"

namespace memwhy::exports {
namespace {

using test::Played;

TEST(Clean, CutsAtACharacter) {
  EXPECT_EQ(clean("main.load"), "main.load");
  const std::string cut = clean(fmt::format("{:x>1022}ää", ""));
  EXPECT_LE(cut.size(), 1024);
  EXPECT_TRUE(cut.starts_with("xxx") && cut.ends_with("x…")) << cut.substr(1000);
  const std::string fits = fmt::format("{:x>1024}", "");
  EXPECT_EQ(clean(fits), fits);
}

TEST(OutputStream, KeepsItsFirstFailure) {
  int calls = 0;
  Output out([&](std::string_view) -> Status {
    ++calls;
    return Error(ErrorCode::kOutput, "full");
  });
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 4; ++i) out.put(piece);
  const Status done = out.finish();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(), "full");
  EXPECT_EQ(calls, 1);
}

TEST(OutputStream, GzipGivesWhatWasPut) {
  std::string packed;
  Output file([&](std::string_view bytes) -> Status {
    packed += bytes;
    return {};
  });
  std::string wanted;
  Gzip gzip(file);
  for (int i = 0; i < 20'000; ++i) {
    const std::string line = std::to_string(i * 7919) + "\n";
    wanted += line;
    gzip.out().put(line);
  }
  gzip.finish();
  ASSERT_TRUE(file.finish().ok());
  EXPECT_EQ(test::inflated(packed), wanted);
}

TEST(Series, PagesGoToTheirMappings) {
  const Played played(R"(@10 attach 1 pid=5 comm=c
vmas 1
  400+16 r-xp /bin/c inode=7
  410+16 rw-p /bin/c inode=7
  900+64 rw-p
@11 scan 1: 40e+4 file, 900+5, 910+3 swapped, a00+2
)");
  const SpaceScans* space = played.scans.of(5, 11'000'000'000);
  ASSERT_NE(space, nullptr);
  ASSERT_EQ(space->scans.size(), 1);
  std::map<std::string, MappingPages> by_name;
  for (const MappingPages& each : space->scans[0].mappings) by_name[space->names[each.name]] = each;
  EXPECT_EQ(by_name["/bin/c"].pages, 4);  // over both mappings
  EXPECT_EQ(by_name["/bin/c"].virtual_bytes, 32 * 4096);
  EXPECT_EQ(by_name["/bin/c"].file_pages, 4);
  EXPECT_EQ(by_name[""].pages, 5);
  EXPECT_EQ(by_name[""].swapped, 3);
  EXPECT_EQ(by_name["(no mapping)"].pages, 2);
  EXPECT_EQ(played.scans.of(5, 10'000'000'000), nullptr) << "of another process with that pid";
}

TEST(Series, IsThinnedAndKeepsTheNewest) {
  ScanSeries series;
  events::SpaceStart start;
  start.space = SpaceId{1};
  start.tgid = 5;
  series.on_event({1, start});
  for (uint64_t i = 1; i <= 2001; ++i) {
    events::PageScan scan;
    scan.space = SpaceId{1};
    scan.runs = {{i, 1, 0}};
    series.on_event({i * 10, scan});
    const SpaceScans* space = series.of(5, i * 10);
    ASSERT_NE(space, nullptr) << i;
    ASSERT_LE(space->scans.size(), 512);
  }
  const SpaceScans* space = series.of(5, 20'010);
  EXPECT_GE(space->scans.size(), 250);
  EXPECT_EQ(space->scans.front().time, 10);
  EXPECT_TRUE(std::is_sorted(space->scans.begin(), space->scans.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(Series, MappingsWithoutEndAreOneEntry) {
  std::string script = "@10 attach 1 pid=5 comm=c\nvmas 1\n", scan = "@11 scan 1\n";
  for (int i = 0; i < 1000; ++i) {
    script += fmt::format("  {:x}+1 rw-p /f{}\n", 0x1000 + 2 * i, i);
    scan += fmt::format("  {:x}+1\n", 0x1000 + 2 * i);
  }
  const Played played(script + scan);
  const SpaceScans* space = played.scans.of(5, 11'000'000'000);
  ASSERT_NE(space, nullptr);
  uint64_t pages = 0;
  for (const MappingPages& each : space->scans[0].mappings) pages += each.pages;
  EXPECT_EQ(space->scans[0].mappings.size(), 256);
  EXPECT_EQ(pages, 1000);
}

// A damaged file: each scan has names of its own.
TEST(Series, NamesWithoutEndAreOthers) {
  ScanSeries series;
  uint64_t number = 0;
  for (uint64_t scan = 1; scan <= 300; ++scan) {
    events::VmaList list;
    events::PageScan pages;
    list.space = pages.space = SpaceId{1};
    pages.complete = true;
    for (uint64_t i = 0; i < 255; ++i) {
      events::Vma vma;
      vma.range = {(0x1000 + 2 * i) << kPageShift, (0x1001 + 2 * i) << kPageShift};
      vma.name = fmt::format("/f{}", number++);
      list.vmas.push_back(vma);
      pages.runs.push_back({0x1000 + 2 * i, 1, 0});
    }
    events::SpaceStart start;
    start.space = SpaceId{1};
    start.tgid = 5;
    series.on_event({scan * 10, start});
    series.on_event({scan * 10, list});
    series.on_event({scan * 10, pages});
  }
  const SpaceScans* space = series.of(5, 3000);
  ASSERT_NE(space, nullptr);
  EXPECT_EQ(space->names.size(), (size_t{1} << 16) + 1);
  ASSERT_EQ(space->scans.back().mappings.size(), 1U);
  EXPECT_EQ(space->names[space->scans.back().mappings[0].name], "(other mappings)");
  EXPECT_EQ(space->scans.back().mappings[0].pages, 255U);
}

TEST(Code, AFileHasTheRangeOfItsFrames) {
  explain::ProcessExplanation process;
  process.exe = "/bin/c";
  process.build_id = "c0ffee";
  explain::Frame frame;
  frame.module = "libc.so.6";
  for (const uint64_t address : {0x7f1a2c98, 0x7f1a3cab}) {
    frame.address = address;
    frame.offset = address - 0x7f1a2c98 + 0x98c98;
    process.attribution.frames.push_back(frame);
  }
  const CodeFiles code(process);
  ASSERT_EQ(code.files().size(), 2);
  EXPECT_EQ(code.files()[0].module, "c");  // the program comes first
  const CodeFile& libc = code.files()[code.of(process.attribution.frames[1])];
  EXPECT_EQ(libc.range.start, 0x7f1a2000);
  EXPECT_EQ(libc.range.end, 0x7f1a4000);
  EXPECT_EQ(libc.offset, 0x98000);
}

TEST(Rows, EveryColumnIsDocumented) {
  std::ifstream file(std::filesystem::path(MEMWHY_TEST_DATA).parent_path() / "userspace/export/README.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const Table& table : tables()) {
    const size_t row = text.find(fmt::format("| `{}` |", table.name));
    ASSERT_NE(row, std::string::npos) << table.name;
    const std::string line = text.substr(row, text.find('\n', row) - row);
    for (const Column& column : table.columns)
      EXPECT_NE(line.find(fmt::format("`{}`", column.name)), std::string::npos)
          << table.name << "." << column.name;
  }
}

}  // namespace
}  // namespace memwhy::exports
