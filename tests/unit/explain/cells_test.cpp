// SPDX-License-Identifier: Apache-2.0
// The attribution table: its cells sum to the scan whatever has no room, and what they name is there as values.
#include <algorithm>
#include <stdexcept>

#include "explain/cells.h"
#include "explain/ledger.h"
#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

const std::string kProgram = R"(@10 binary b1 /srv/bin/c inode=7 build=0123abcd
attach 1 pid=5 comm=c exe=/srv/bin/c binary=b1
symbol 1 0x401e00 binary=b1 work@/src/main.c:13
symbol 1 0x401f00 ret binary=b1 main@/src/main.c:20
symbol 1 0x402000 ret binary=b1 _start@:0
)";

ScanCell cell(Owner owner, uint32_t vma, uint32_t stack, uint64_t pages) {
  ScanCell out;
  out.cell.owner = owner;
  out.cell.how = timeline::How::kFault;
  out.cell.pages = pages;
  out.vma = vma;
  out.stack = static_cast<StackId>(stack);
  return out;
}

uint64_t pages_of(const std::vector<ScanCell>& cells) {
  uint64_t sum = 0;
  for (const ScanCell& each : cells) sum += each.cell.pages;
  return sum;
}

TEST(Cells, ValuesOfAScan) {
  const auto e = told(kProgram + R"(stack s1 1 0x401e00 0x401f00 0x402000
vmas 1
  400+16 r-xp /srv/bin/c inode=7
  900+64 rw-p
@11 scan 1: 400+3 file
@12 table 1: 900+5 s1 @11.5 w
@25 scan 1: 400+3 file, 900+5
)");
  const Attribution& all = e.processes[0].attribution;
  ASSERT_EQ(all.cells.size(), 2u);
  const auto anon = std::find_if(all.cells.begin(), all.cells.end(),
                                 [](const Cell& each) { return each.owner == Owner::kAnonOther; });
  ASSERT_NE(anon, all.cells.end());
  EXPECT_EQ(anon->how, timeline::How::kFault);
  EXPECT_EQ(anon->pages, 5u);
  EXPECT_EQ(anon->older_pages, (std::array<uint64_t, 4>{5, 0, 0, 0}));
  EXPECT_FALSE(anon->rest);
  const Mapping& mapping = all.mappings.at(anon->mapping);
  EXPECT_EQ(mapping.vma.range, (AddressRange{0x900000, 0x940000}));
  EXPECT_EQ(mapping.file, "");
  const CallStack& stack = all.stacks.at(anon->stack);
  EXPECT_FALSE(stack.truncated);
  ASSERT_EQ(stack.frames.size(), 3u);
  const Frame& frame = all.frames.at(stack.frames[0]);
  EXPECT_EQ(frame.function, "work");
  EXPECT_EQ(frame.file, "/src/main.c");
  EXPECT_EQ(frame.line, 13u);
  EXPECT_EQ(frame.module, "c");
  EXPECT_EQ(frame.build_id, "0123abcd");
  EXPECT_EQ(frame.address, 0x401e00u);
  EXPECT_EQ(frame.kind, FrameKind::kProgram);
}

// What was inlined into malloc is the allocator's: it decides as malloc does, and is no function of the program.
TEST(Cells, WhatWasInlinedIsPartOfItsFunction) {
  const auto e = told(R"(@10 binary b1 /srv/bin/c inode=7 build=0123abcd
attach 1 pid=5 comm=c exe=/srv/bin/c binary=b1
symbol 1 0x401e00 binary=b1 set_head@/src/malloc.c:13 _int_malloc@/src/malloc.c:40
symbol 1 0x401f00 ret binary=b1 std::vector<int>::grow(int)@/src/vector.h:7 main@/src/main.c:20
stack s1 1 0x401e00 0x401f00
vmas 1
  400+16 r-xp /srv/bin/c inode=7
  900+64 rw-p
@11 scan 1: 400+3 file
@12 table 1: 900+5 s1 @11.5 w
@25 scan 1: 400+3 file, 900+5
)");
  const Attribution& all = e.processes[0].attribution;
  const auto anon = std::find_if(all.cells.begin(), all.cells.end(),
                                 [](const Cell& each) { return each.stack != kNoIndex; });
  ASSERT_NE(anon, all.cells.end());
  EXPECT_EQ(all.stacks.at(anon->stack).touched, StackKind::kMalloc);
  std::vector<std::pair<std::string, FrameKind>> found;
  for (const Frame& frame : all.frames_of(anon->stack)) found.emplace_back(frame.function, frame.kind);
  const std::vector<std::pair<std::string, FrameKind>> expected = {
      {"set_head", FrameKind::kAllocator},
      {"_int_malloc", FrameKind::kAllocator},
      {"std::vector<int>::grow(int)", FrameKind::kLibrary},
      {"main", FrameKind::kProgram}};
  EXPECT_EQ(found, expected);
}

// The slots of a span are on several lines, its pages in one cell.
TEST(Cells, GoSpansAreCellsOfPagesAndLinesOfSlots) {
  const auto e = told(go_program("go1.26.8") + moment(11, "c000000+256 heap live=400K dead=200K free=424K",
                                                      "c000000+256", "", "in_use=1M live=400K"));
  const Attribution& all = e.processes[0].attribution;
  uint64_t spans = 0;
  for (const Cell& each : all.cells)
    if (all.cell_id(each.owner) == "go.heap.spans") spans += each.bytes();
  EXPECT_EQ(spans, 1u << 20);
  EXPECT_EQ(line(e, "go.heap.live")->bytes, 400u << 10);
  EXPECT_EQ(line(e, "go.heap.unmarked")->bytes, 200u << 10);
  EXPECT_EQ(line(e, "go.heap.fragmentation")->bytes, 424u << 10);
}

// 6,000 mappings of two pages each with one of 50 stacks, and 3,000 that nobody saw.
TEST(Cells, WhatHasNoRoomIsTheRestOfItsOwner) {
  std::string script = kProgram, table = "@12 table 1: ", scan = "@13 scan 1: ";
  for (int i = 1; i <= 50; ++i)
    script += fmt::format("stack s{} 1 0x401e00 {:#x} 0x402000\n", i, 0x500000 + i);
  script += "vmas 1\n  400+16 r-xp /srv/bin/c inode=7\n";
  for (int i = 0; i < 9000; ++i) {
    const int page = 0x10000 + 16 * i;
    script += fmt::format("  {:x}+8 rw-p\n", page);
    scan += fmt::format("{}{:x}+2", i == 0 ? "" : ", ", page);
    if (i < 6000) table += fmt::format("{}{:x}+2 s{} @11.5 w", i == 0 ? "" : ", ", page, i % 50 + 1);
  }
  const auto e = told(script + "@11 scan 1: 400+1 file\n" + table + "\n" + scan + "\n");  // told() adds it up
  const Attribution& all = e.processes[0].attribution;
  EXPECT_LE(all.cells.size(), kMostCells);
  EXPECT_EQ(e.processes[0].rss.bytes, 18'000 * kPageBytes);
  uint64_t rest = 0, without_mapping = 0;
  for (const Cell& each : all.cells) {
    if (each.rest) rest += each.pages;
    if (!each.rest && each.mapping == kNoIndex) without_mapping += each.pages;
    EXPECT_EQ(each.rest, each.mapping == kNoIndex && each.stack == kNoIndex);
  }
  EXPECT_GT(rest, 0u);
  EXPECT_GT(without_mapping, 0u) << "cells with a stack lose their mapping first";
  EXPECT_EQ(pages(e, "anon.other"), 12'000u);
  EXPECT_EQ(pages(e, "unattributed"), 6'000u);
  // The stacks have the same known frames: all their pages are one entry below the line.
  const std::vector<Entry> top = top_of(e, "anon.other");
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0].what, EntryWhat::kStack);
  EXPECT_EQ(top[0].bytes, 12'000 * kPageBytes);
}

TEST(Cells, LimitKeepsTheHeaviestAndEveryPage) {
  std::vector<ScanCell> cells;
  for (uint32_t i = 0; i < 100; ++i) cells.push_back(cell(Owner::kAnonOther, i, 1 + i % 4, 100 + i));
  for (uint32_t i = 100; i < 130; ++i) cells.push_back(cell(Owner::kUnattributed, i, 0, 1));
  const uint64_t before = pages_of(cells);
  const size_t most = kOwnerCount + 20;
  limit_cells(cells, most);
  EXPECT_LE(cells.size(), most);
  EXPECT_EQ(pages_of(cells), before);
  const auto of = [&](uint32_t vma) {
    return std::any_of(cells.begin(), cells.end(), [&](const ScanCell& each) { return each.vma == vma; });
  };
  EXPECT_TRUE(of(99));
  EXPECT_TRUE(of(90));
  EXPECT_FALSE(of(50));
  for (uint32_t stack = 1; stack <= 4; ++stack)  // the 90 light ones are four, one for each stack
    EXPECT_TRUE(std::any_of(cells.begin(), cells.end(), [&](const ScanCell& each) {
      return each.vma == kNoIndex && each.stack == static_cast<StackId>(stack);
    }));
  const auto rest =
      std::find_if(cells.begin(), cells.end(), [](const ScanCell& each) { return each.cell.rest; });
  ASSERT_NE(rest, cells.end());
  EXPECT_EQ(rest->cell.owner, Owner::kUnattributed);
  EXPECT_EQ(rest->cell.pages, 30u);
}

TEST(Cells, ATableThatFitsStaysAsItIs) {
  std::vector<ScanCell> cells{cell(Owner::kAnonOther, 1, 1, 5), cell(Owner::kAnonOther, 2, 1, 6)};
  limit_cells(cells, kOwnerCount + 2);
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].vma, 1u);
}

TEST(Cells, SumsThatDifferAreABug) {
  Attribution all;
  all.cells.push_back(cell(Owner::kAnonOther, 0, 0, 3).cell);
  LedgerLine line;
  line.owner = Owner::kAnonOther;
  line.bytes = 3 * kPageBytes;
  EXPECT_NO_THROW(check_sums(all, {line}, 3 * kPageBytes));
  EXPECT_THROW(check_sums(all, {line}, 4 * kPageBytes), std::logic_error);
  line.owner = Owner::kShmem;  // the same sum, of another owner
  EXPECT_THROW(check_sums(all, {line}, 3 * kPageBytes), std::logic_error);
  line.owner = Owner::kGoHeapFragmentation;
  all.cells[0].owner = Owner::kGoHeapLive;
  EXPECT_THROW(check_sums(all, {line}, 3 * kPageBytes), std::logic_error) << "nothing parts them";
  all.parted.push_back({Owner::kGoHeapLive, Owner::kGoHeapUnmarked, Owner::kGoHeapFragmentation,
                        Owner::kGoHeapUnclassified, "go.heap.spans", "spans"});
  EXPECT_NO_THROW(check_sums(all, {line}, 3 * kPageBytes)) << "slots part the pages of spans";
}

TEST(Cells, FramesBeyondTheBudgetCutTheirStack) {
  Attribution all;
  StackTable table(all);
  std::vector<Frame> frames(kMostFrames + 10);
  for (size_t i = 0; i < frames.size(); ++i) frames[i].address = i + 1;
  const uint32_t stack = table.add(frames);
  EXPECT_EQ(all.frames.size(), kMostFrames);
  EXPECT_TRUE(all.stacks.at(stack).truncated);
  EXPECT_EQ(table.add({frames[0], frames[1]}), table.add({frames[0], frames[1]}));
  EXPECT_EQ(all.stacks.size(), 2u);
}

}  // namespace
}  // namespace memwhy::explain
