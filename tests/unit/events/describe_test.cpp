// SPDX-License-Identifier: Apache-2.0
// The line of each kind of event, and that nothing from outside reaches a terminal as it is.
#include <gtest/gtest.h>

#include "events/event.h"

namespace memwhy::events {
namespace {

constexpr SpaceId kSpace{1};
constexpr StackId kStack{9};

std::string line(Payload payload) { return describe({1'500'000'000, std::move(payload)}, 1'000'000'000); }

TEST(Describe, time_is_relative_to_the_origin_on_both_sides) {
  EXPECT_EQ(describe({2'204'000'000, RecordingEnd{"stopped"}}, 1'000'000'000),
            "+1.204s recording ended: \"stopped\"");
  EXPECT_EQ(describe({0, RecordingEnd{"x"}}, 1'000'000'000), "-1.000s recording ended: \"x\"");
}

TEST(Describe, scans_and_tables) {
  PageScan scan{kSpace,
                3,
                7,
                true,
                "PAGEMAP_SCAN",
                {{0x400, 40'900, 0}, {0x9'0000, 61, kScanHuge}, {0xa'0000, 5, kScanSwapped}},
                {},
                {}};
  EXPECT_EQ(scan.resident_pages(), 40'961u) << "pages in swap are not resident";
  EXPECT_EQ(line(scan), "+0.500s space 1 scan 3: 40,961 pages in 3 runs by \"PAGEMAP_SCAN\", begun at 7");
  scan.complete = false;
  EXPECT_EQ(line(scan),
            "+0.500s space 1 scan 3: 40,961 pages in 3 runs by \"PAGEMAP_SCAN\", begun at 7, incomplete");
  EXPECT_EQ(line(PageTableRuns{kSpace, true, 55, {{1, 1'000, kStack, 5, 0}, {2'000, 234, kStack, 5, 0}}}),
            "+0.500s space 1 table restated: 1,234 pages in 2 runs as of tick 55");
}

TEST(Describe, calls) {
  EXPECT_EQ(line(VmaMapped{kSpace, 7, {0x1000, 0x3000}, 3, 0x22, -1, 0, kStack, 5}),
            "+0.500s space 1 tid 7 mmap 0x1000-0x3000 (8,192 B) prot 0x3 flags 0x22 fd -1 offset 0x0 by "
            "stack 9 at tick 5");
  EXPECT_EQ(line(VmaUnmapped{kSpace, 7, {0x1000, 0x2000}, UnmapWhy::kMadvise, 4, StackId::kNone, 5}),
            "+0.500s space 1 tid 7 unmap 0x1000-0x2000 (4,096 B) (madvise, advice 4) by no stack at tick 5");
  EXPECT_EQ(line(VmaAdvised{kSpace, 7, {0x1000, 0x2000}, 14, StackId::kLost, 5}),
            "+0.500s space 1 tid 7 madvise 0x1000-0x2000 (4,096 B) advice 14 by stack lost at tick 5");
  EXPECT_EQ(
      line(VmaMoved{kSpace, 7, {0x1000, 0x2000}, {0x8000, 0xa000}, kStack, 5}),
      "+0.500s space 1 tid 7 mremap 0x1000-0x2000 (4,096 B) to 0x8000-0xa000 (8,192 B) by stack 9 at tick 5");
  EXPECT_EQ(line(HeapGrown{kSpace, 7, {0x1000, 0x2000}, kStack, 5}),
            "+0.500s space 1 tid 7 brk 0x1000-0x2000 (4,096 B) by stack 9 at tick 5");
}

TEST(Describe, processes) {
  EXPECT_EQ(line(SpaceStart{SpaceId{2}, 4712, StartHow::kForked, kSpace, "web", "/usr/bin/web", BinaryId{1},
                            5, "/x", "x86-64"}),
            "+0.500s space 2 pid 4712 forked from space 1 comm \"web\" exe \"/usr/bin/web\" binary 1 started "
            "5 cgroup "
            "\"/x\" \"x86-64\"");
  EXPECT_EQ(line(SpaceEnd{kSpace, EndWhy::kExeced}), "+0.500s space 1 execed");
  EXPECT_EQ(line(ProcessExit{kSpace, 4711, 9, {}}), "+0.500s space 1 pid 4711 exit status 0x9 rss unknown");
  EXPECT_EQ(line(ProcessExit{kSpace, 4711, 9, 0}), "+0.500s space 1 pid 4711 exit status 0x9 rss 0 B");
  EXPECT_EQ(line(OomVictim{kSpace, 4711}), "+0.500s space 1 pid 4711 was chosen by the OOM killer");
  EXPECT_EQ(line(Loss{SpaceId::kNone, "removal", 3}), "+0.500s space 0 lost 3 \"removal\"");
  EXPECT_EQ(line(Stack{kStack, kSpace, true, false, {0x45, 0x46}}),
            "+0.500s space 1 stack 9 2 frames, cut: 0x45 0x46");
  EXPECT_EQ(line(SymbolInfo{kSpace, 0x45, true, BinaryId{1}, 0x5, {{"main.f", "a.go", 3}}}),
            "+0.500s space 1 return to 0x45 is binary 1 at 0x5: \"main.f\" (\"a.go\":3)");
  Vma small, large;
  small.range = {0x4000, 0x5000};
  large.range = {0x1000, 0x3000};
  EXPECT_EQ(line(VmaList{kSpace, {large, small}}), "+0.500s space 1 2 VMAs, 12,288 B mapped");
}

TEST(Describe, go_runtime) {
  GoCounters counters;
  counters.heap_in_use_bytes = 73'400'320;
  counters.heap_free_bytes = 1'048'576;
  counters.heap_released_bytes = 8192;
  counters.live_bytes = 67'108'864;
  counters.goal_bytes = 134'217'728;
  counters.stack_bytes = 4096;
  counters.gc_cycles = 12;
  EXPECT_EQ(line(GoStatistics{kSpace, counters, {}}),
            "+0.500s space 1 go: heap 73,400,320 B in use, 1,048,576 B idle, 8,192 B released, 67,108,864 B "
            "live, goal 134,217,728 B, stacks 4,096 B, 12 collections");
  EXPECT_EQ(line(GoReading{kSpace, 3, GoLayout::kTable, true, 1000, 2, counters}),
            "+0.500s space 1 go tables of scan 3: layout table, 1,000 spans, 2 in motion, quiet");
  EXPECT_EQ(line(GoReading{kSpace, 3, GoLayout::kDwarf, false, 1000, 2, counters}),
            "+0.500s space 1 go tables of scan 3: layout dwarf, 1,000 spans, 2 in motion");
  EXPECT_EQ(line(GoReading{}), "+0.500s space 0 go tables of scan 0: layout none, 0 spans, 0 in motion");
  EXPECT_EQ(line(GoProfile{kSpace, GoProfile::Source::kBuckets, 524'288, true, {{1, 1, 1, {}}}}),
            "+0.500s space 1 go heap profile: 1 buckets, rate 524288 assumed");
  EXPECT_EQ(line(GoProfile{kSpace, GoProfile::Source::kOffInBinary, 0, false, {}}),
            "+0.500s space 1 go heap profile: off in the binary");
  EXPECT_EQ(line(GoProfile{kSpace, GoProfile::Source::kUnreadable, 0, false, {}}),
            "+0.500s space 1 go heap profile: unreadable");
  EXPECT_EQ(line(GoGoroutines{kSpace, 1'000, true, {{}, {}}}),
            "+0.500s space 1 1,000 goroutines in 2 groups");
  EXPECT_EQ(line(GoGoroutines{kSpace, 1'000, false, {{}}}),
            "+0.500s space 1 1,000 goroutines in 1 groups, not all walked");
  EXPECT_EQ(line(GoCall{kSpace, 7, GoFunction::kLargeAllocation, 65'536, static_cast<StackId>(9), 1}),
            "+0.500s space 1 tid 7 go large_allocation 65,536 B stack 9");
}

TEST(Describe, runtime_pages) {
  RuntimePages pages{
      kSpace, 3, "toy", Trust::kVerified, "", {"slab", "spare"}, {{1, 1000, 0, 1, 1, 1}, {2000, 1, 1}}, {}};
  EXPECT_EQ(line(pages),
            "+0.500s space 1 pages of runtime \"toy\" for scan 3: verified, 1,001 pages in 2 runs of 2 uses");
  pages.trust = Trust::kUnverified;
  pages.problem = "no";
  EXPECT_EQ(line(pages),
            "+0.500s space 1 pages of runtime \"toy\" for scan 3: unverified, 1,001 pages in 2 runs of 2 "
            "uses: \"no\"");
}

TEST(Describe, counters_say_what_is_unknown) {
  Counters counters;
  counters.space = kSpace;
  counters.rss_anon_bytes = 1'048'576;
  counters.cgroup_usage_bytes = 0;
  const std::string text = line(counters);
  EXPECT_NE(text.find("rss 1,048,576 B (anon 1,048,576 B"), std::string::npos) << text;
  EXPECT_NE(text.find("cgroup 0 B of unknown"), std::string::npos) << text;
}

TEST(Describe, escapes_what_a_terminal_would_obey) {
  const std::string text = line(Loss{kSpace, "\x1b[2J\n\"\\\xc2\x9b", 1});
  EXPECT_EQ(text, "+0.500s space 1 lost 1 \"\\x1b[2J\\x0a\\\"\\\\\\xc2\\x9b\"");
  for (Payload payload : std::vector<Payload>{
           RecordingInfo{"\x1b", "\x1b", "\x1b", "\x1b", 1, 1, 1, {"\x1b"}},
           HookReport{{{"\x1b", "\x1b", "\x1b"}}, "\x1b", {"\x1b"}, {{"\x1b", "\x1b"}}},
           BinaryInfo{BinaryId{1}, "\x1b", 1, 1, "\x1b", true, true, "\x1b",
                      GoBuild{"\x1b", true, true, "\x1b"}},
           SymbolInfo{kSpace, 1, true, BinaryId{1}, 1, {{"\x1b", "\x1b", 1}}}, RecordingEnd{"\x1b"},
           SpaceStart{kSpace, 1, StartHow::kAttached, kSpace, "\x1b", "\x1b", BinaryId{1}, 1, "\x1b", "\x1b"},
           Coverage{{{"\x1b", 1, 1, 1}}, {{"\x1b", 1, 1}}}, PageScan{kSpace, 1, 1, true, "\x1b", {}, {}, {}},
           RuntimePages{kSpace, 1, "\x1b", Trust::kUnverified, "\x1b", {"\x1b"}, {}, {}},
           GoGoroutines{kSpace, 1, true, {{1, "\x1b", 0, {}, 0, 0, 0, 0, {}}}}}) {
    EXPECT_EQ(line(payload).find('\x1b'), std::string::npos) << line(payload);
  }
}

}  // namespace
}  // namespace memwhy::events
