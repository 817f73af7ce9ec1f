// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

const std::string kC = "@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\n";
const std::string kGo =
    "@10 binary b1 /bin/go inode=7 go=go1.26.8 cgo\nattach 1 pid=5 comm=go exe=/bin/go binary=b1\n";
const std::string kPureGo =
    "@10 binary b1 /bin/go inode=7 go=go1.26.8\nattach 1 pid=5 comm=go exe=/bin/go binary=b1\n";
const std::string kRace =
    "@10 binary b1 /bin/go inode=7 go=go1.26.8 race cgo\nattach 1 pid=5 comm=go exe=/bin/go binary=b1\n";

// Code of the executable, with a name for each address that the stacks below use.
const std::string kCode = R"(
symbol 1 0x401000 binary=b1 runtime.memclrNoHeapPointers@memclr.s:1
symbol 1 0x401100 ret binary=b1 runtime.mallocgc@malloc.go:2
symbol 1 0x401200 binary=b1 main.work@main.go:3
symbol 1 0x401300 binary=b1 "runtime.(*spanSet).push@mspanset.go:4"
symbol 1 0x401400 binary=b1 __tsan::TraceSwitchPart@:0
symbol 1 0x401500 ret binary=b1 runtime.goexit@asm.s:5
symbol 1 0x401600 binary=b1 mmap@:0
symbol 1 0x401700 ret binary=b1 sysmalloc@malloc.c:6
symbol 1 0x401800 binary=b1 _int_malloc@malloc.c:7
symbol 1 0x401900 ret binary=b1 main@main.c:8
symbol 1 0x401a00 binary=b1 runtime.sysMmap@mem.go:9
symbol 1 0x401b00 ret binary=b1 runtime.sysReserve@mem.go:10
symbol 1 0x401c00 ret binary=b1 "runtime.(*mheap).sysAlloc@mheap.go:11"
symbol 1 0x401d00 ret binary=b1 runtime.persistentalloc1@malloc.go:12
symbol 1 0x401e00 binary=b1 work@main.c:13
symbol 1 0x401f00 ret binary=b1 runtime.sysAlloc@mem.go:14
stack s1 1 0x401000 0x401100 0x401500
stack s2 1 0x401200 0x401500
stack s3 1 0x401300 0x401500
stack s4 1 0x401400 0x401500
stack s5 1 0x401600 0x401700 0x401900
stack s6 1 0x401800 0x401900
stack s7 1 0x401a00 0x401b00 0x401c00
stack s8 1 0x401a00 0x401f00 0x401d00
stack s9 1 0x401e00
stack s10 1 0x401600 0x401900
)";

TEST(Owners, FilesByWhatTheirPagesAre) {
  auto e = told(kC + R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  410+16 rw-p /bin/c inode=7
  420+4 rw-p
  800+32 rw-s /data/map inode=8
  900+32 rw-s /memfd:x inode=9 shmem
  a00+32 rw-s
  b00+32 r--p /dev/shm/y inode=10 shmem
@11 scan 1: 400+10 file, 410+3 file, 413+5, 420+2, 800+7, 900+11, a00+13, b00+17 file
)");
  EXPECT_EQ(pages(e, "file.text"), 13u);
  EXPECT_EQ(pages(e, "program.data"), 7u);  // five copies and two pages of .bss
  EXPECT_EQ(pages(e, "file.shared"), 7u);
  EXPECT_EQ(pages(e, "shmem"), 41u);
  EXPECT_EQ(e.processes[0].rss.anon, 7 * kPageBytes);
  EXPECT_EQ(e.processes[0].rss.file, 20 * kPageBytes);
  EXPECT_EQ(e.processes[0].rss.shmem, 41 * kPageBytes);
  const std::vector<Entry> top = top_of(e, "program.data");
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0].what, EntryWhat::kFile);
  EXPECT_EQ(name_of(e.processes[0].attribution, top[0]), "/bin/c");
}

// A file's pages and the main stack are owned by what they are, also when nobody saw them come.
TEST(Owners, IdentityNeedsNoEvidence) {
  auto e = told(kC + R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  800+64 rw-p [heap]
  900+64 rw-p
  7ffd0+33 rw-p [stack]
@11 scan 1: 400+1 file
@12 scan 1: 400+4 file, 800+3, 900+6, 7ffd0+2
)");
  EXPECT_EQ(pages(e, "file.text"), 4u);
  EXPECT_EQ(pages(e, "c.heap.unclassified"), 3u);
  EXPECT_EQ(pages(e, "main.stack"), 2u);
  EXPECT_EQ(pages(e, "unattributed"), 6u);
  EXPECT_EQ(e.processes[0].coverage.unattributed_bytes, 6 * kPageBytes);
}

TEST(Owners, BeforeAttachIsItsOwnLine) {
  auto e = told(kC + "vmas 1\n  900+64 rw-p\n@11 scan 1: 900+9\n");
  EXPECT_EQ(pages(e, "anon.before_attach"), 9u);
  EXPECT_EQ(pages(e, "unattributed"), 0u);
}

TEST(Owners, ThreadStackByFsBaseAtItsUpperEndAndAGuardBelow) {
  std::string maps = R"(
vmas 1
  1000+1 ---p
  1001+2048 rw-p
  3001+2048 rw-p
)";
  auto e = told(kGo + "threads 1 6:0:0x1800900\n" + maps + "@11 scan 1: 17ff+2, 3001+5\n");
  EXPECT_EQ(pages(e, "thread.stacks"), 2u);
  EXPECT_EQ(pages(e, "anon.before_attach"), 5u);
  // FS base in the middle: not a stack.
  e = told(kGo + "threads 1 6:0:0x1400900\n" + maps + "@11 scan 1: 17ff+2\n");
  EXPECT_EQ(pages(e, "thread.stacks"), 0u);
  // No guard: not a stack.
  e = told(kGo + "threads 1 6:0:0x3800900\n" + maps + "@11 scan 1: 37ff+2\n");
  EXPECT_EQ(pages(e, "thread.stacks"), 0u);
}

TEST(Owners, StackPointerSpeaksOnlyOutsideOfGo) {
  std::string rest = "threads 1 6:0x1400000:0\nvmas 1\n  1001+2048 rw-p\n@11 scan 1: 17ff+2\n";
  EXPECT_EQ(pages(told(kC + rest), "thread.stacks"), 2u);
  EXPECT_EQ(pages(told(kGo + rest), "thread.stacks"), 0u);
}

// Without cgo a Go thread has its FS base in an object of the Go heap, which may lie at the end of an arena.
TEST(Owners, PureGoHasNoThreadStacks) {
  std::string rest = "threads 1 6:0:0x1800900\nvmas 1\n  1000+1 ---p\n  1001+2048 rw-p\n@11 scan 1: 17ff+2\n";
  EXPECT_EQ(pages(told(kGo + rest), "thread.stacks"), 2u);
  EXPECT_EQ(pages(told(kPureGo + rest), "thread.stacks"), 0u);
}

TEST(Owners, StackOfAnEndedThreadByMapStack) {
  auto e = told(kC + kCode + R"(
mmap 1 1001+2048 s10 flags=0x20022
vmas 1
  1001+2048 rw-p
@11 scan 1: 17ff+2
)");
  EXPECT_EQ(pages(e, "thread.stacks"), 2u);
}

TEST(Owners, GlibcArenaByItsAlignmentAndItsRest) {
  std::string arena = "vmas 1\n  7f00000+33 rw-p\n  7f00021+16351 ---p\n@11 scan 1: 7f00000+20\n";
  EXPECT_EQ(pages(told(kC + arena), "c.heap.unclassified"), 20u);
  EXPECT_EQ(pages(told(kGo + arena), "c.heap.unclassified"), 20u);
  std::string unaligned = "vmas 1\n  7f00001+33 rw-p\n  7f00022+16350 ---p\n@11 scan 1: 7f00001+20\n";
  EXPECT_EQ(pages(told(kC + unaligned), "c.heap.unclassified"), 0u);
}

// A Go arena has the same shape, in steps of 4 MiB.
TEST(Owners, GoArenaIsNoGlibcArena) {
  std::string arena = "vmas 1\n  c000000+1024 rw-p\n  c000400+15360 ---p\n@11 scan 1: c000000+20\n";
  EXPECT_EQ(pages(told(kGo + arena), "c.heap.unclassified"), 0u);
  EXPECT_EQ(pages(told(kGo + arena), "anon.before_attach"), 20u);  // and never a Go heap by its address
}

TEST(Owners, GoHeapByOneStackOfTheAllocator) {
  std::string maps =
      "vmas 1\n  400+16 r-xp /bin/go inode=7\n  c000000+1024 rw-p\n  d000000+256 rw-p\n@11 scan 1: "
      "c000000+100\n";
  std::string fault = R"(
@12 table 1
  c000064+10 s1 @11.5 w
  c00006e+20 s2 @11.5 w
  d000000+30 s3 @11.5 w
@13 scan 1: c000000+130, d000000+30
)";
  auto e = told(kGo + kCode + maps + fault);
  EXPECT_EQ(pages(e, "go.heap.unclassified"), 130u);  // those from before, too: the mapping is a heap
  EXPECT_EQ(pages(e, "anon.other"), 30u);             // a table of the runtime
  // What was a heap all the time did not arrive with the evidence.
  ASSERT_TRUE(line(e, "go.heap.unclassified")->growth_bytes_per_s);
  EXPECT_NEAR(*line(e, "go.heap.unclassified")->growth_bytes_per_s, 30 * kPageBytes / 2.0, 1);
}

TEST(Owners, GoUserCodeAloneMakesNoGoHeap) {
  auto e = told(kGo + kCode + R"(
vmas 1
  400+16 r-xp /bin/go inode=7
  c000000+1024 rw-p
@11 scan 1: 400+1 file
@12 table 1: c000000+20 s2 @11.5 w
@13 scan 1: c000000+20
)");
  EXPECT_EQ(pages(e, "go.heap.unclassified"), 0u);
  EXPECT_EQ(pages(e, "anon.other"), 20u);
}

TEST(Owners, GoHeapByWhoMappedIt) {
  auto e = told(kGo + kCode + R"(
mmap 1 c000000+1024 s7
mmap 1 d000000+256 s8
vmas 1
  400+16 r-xp /bin/go inode=7
  c000000+1024 rw-p
  d000000+256 rw-p
@11 scan 1: c000000+7, d000000+3
)");
  EXPECT_EQ(pages(e, "go.heap.unclassified"), 7u);
  EXPECT_EQ(pages(e, "anon.other"), 3u);
}

TEST(Owners, GoByVmaNames) {
  auto e = told(kGo + R"(
vmas 1
  c000000+64 rw-p "[anon: Go: heap]"
  d000000+64 rw-p "[anon: Go: page summary]"
  d000100+64 rw-p "[anon: Go: profiler hash buckets]"
  d000200+64 rw-p "[anon: Go: OS thread stack]"
  d000300+64 rw-p "[anon: Go: goroutine stack (system)]"
  d000400+64 rw-p [anon:mine]
@11 scan 1: c000000+1, d000000+2, d000100+3, d000200+4, d000300+5, d000400+6
)");
  EXPECT_EQ(pages(e, "go.heap.unclassified"), 1u);
  EXPECT_EQ(pages(e, "go.runtime.metadata"), 2u);
  EXPECT_EQ(pages(e, "go.runtime.profiler"), 3u);
  EXPECT_EQ(pages(e, "thread.stacks"), 4u);
  EXPECT_EQ(pages(e, "go.stacks"), 5u);
  EXPECT_EQ(pages(e, "anon.other"), 6u);
}

// The kernel makes one VMA of the program's mapping and a runtime table beside it.
TEST(Owners, TableOfTheRuntimeDoesNotSwallowItsNeighbours) {
  auto e = told(kPureGo + kCode + R"(
symbol 1 0x402000 binary=b1 internal/runtime/atomic.Or8@atomic.s:1
stack s11 1 0x402000 0x401300 0x401500
vmas 1
  400+16 r-xp /bin/go inode=7
  20000+4096 rw-p
@11 scan 1: 20000+40
@12 table 1: 20100+1000 s2 @11.5 w, 20800+200 s6 @11.5 w, 20a00+100 s9 @11.5 w, 20c00+30 s3 @11.5 w, 20c80+7 s11 @11.5 w
@13 go-heap 1 quiet tables=0x20c00000 in_use=1M
scan 1: 20000+40, 20100+1000, 20800+200, 20a00+100, 20c00+30, 20c80+7
@14 go-heap 1 quiet tables=0x20c00000 in_use=1M
scan 1: 20000+40, 20100+1000, 20800+200, 20a00+100, 20c00+30, 20c80+7
)");
  EXPECT_EQ(pages(e, "go.runtime.metadata"), 77u);  // its own stack, or none
  EXPECT_EQ(pages(e, "anon.other"), 1100u);
  EXPECT_EQ(pages(e, "c.heap.unclassified"), 200u);
  // And so in the history.
  ASSERT_EQ(e.processes[0].timeline.size(), 3u);
  const auto bytes = [&](Owner owner) -> uint64_t {
    for (const OwnerAmount& each : e.processes[0].timeline[1].ledger)
      if (each.owner == owner) return each.bytes;
    return 0;
  };
  EXPECT_EQ(bytes(Owner::kAnonOther), 1100 * kPageBytes);
  EXPECT_EQ(bytes(Owner::kGoRuntimeMetadata), 77 * kPageBytes);
}

TEST(Owners, RaceRangesOnlyInARaceBuild) {
  std::string rest = R"(
vmas 1
  218000000+64 rw-p
  306000000+64 rw-p
@11 scan 1: 218000000+20, 306000000+3
)";
  auto e = told(kRace + rest);
  EXPECT_EQ(pages(e, "race.shadow"), 20u);
  EXPECT_EQ(pages(e, "race.meta"), 3u);
  std::string other_machine = kRace;
  other_machine.insert(other_machine.rfind('\n'), " class=aarch64");
  for (const std::string& other : {kGo, kC, other_machine}) {
    e = told(other + rest);
    EXPECT_EQ(pages(e, "race.shadow"), 0u);
    EXPECT_EQ(pages(e, "anon.before_attach"), 23u);
  }
}

// TSan's blocks and the runtime's tables share a mapping: each page by its own stack, the rest by the
// majority.
TEST(Owners, RaceInternalByStackThenByMapping) {
  std::string rest = kCode + R"(
vmas 1
  400+16 r-xp /bin/go inode=7
  7f62e0000+1000 rw-p
@11 scan 1: 7f62e0000+4
@12 table 1: 7f62e0004+50 s4 @11.5 w, 7f62e0036+10 s3 @11.5 w
@13 scan 1: 7f62e0000+64
)";
  auto e = told(kRace + rest);
  EXPECT_EQ(pages(e, "race.internal"), 54u);
  EXPECT_EQ(pages(e, "anon.other"), 10u);
  EXPECT_EQ(pages(told(kGo + rest), "race.internal"), 0u);
}

TEST(Owners, RaceBlocksFromBeforeByShape) {
  auto block = [](const std::string& build, const std::string& vma, const std::string& resident) {
    return pages(told(build + "vmas 1\n  " + vma + " rw-p\n@11 scan 1: " + resident + "\n"), "race.internal");
  };
  EXPECT_EQ(block(kRace, "7f62e0000+256", "7f62e0000+200"), 200u);  // 1 MiB, dense
  EXPECT_EQ(block(kRace, "7f62e0000+256", "7f62e0000+100"), 0u);    // sparse: a table of the runtime looks so
  EXPECT_EQ(block(kRace, "7f62e0000+258", "7f62e0000+258"), 0u);    // 1 MiB and two pages
  EXPECT_EQ(block(kRace, "7f62e0000+513", "7f62e0000+260"),
            260u);  // 2 MiB and a page: a call stack, just doubled
  EXPECT_EQ(block(kRace, "7f62e0000+513", "7f62e0000+250"), 0u);
  EXPECT_EQ(block(kRace, "c000000+256", "c000000+256"), 0u);  // where TSan puts the Go heap
  EXPECT_EQ(block(kGo, "7f62e0000+256", "7f62e0000+256"), 0u);
}

// Evidence against: the program's own stack touched the mapping.
TEST(Owners, ShapeGivesWayToEvidence) {
  auto e = told(kRace + kCode + R"(
vmas 1
  400+16 r-xp /bin/go inode=7
  7f62e0000+256 rw-p
@11 scan 1: 7f62e0000+240
@12 table 1: 7f62e00f0+16 s2 @11.5 w
@13 scan 1: 7f62e0000+256
)");
  EXPECT_EQ(pages(e, "race.internal"), 0u);
  EXPECT_EQ(pages(e, "anon.before_attach"), 240u);
  EXPECT_EQ(pages(e, "anon.other"), 16u);
}

TEST(Owners, BssOfARaceBuildIsTsansUnlessItIsLarge) {
  auto bss = [](const std::string& build, const std::string& count) {
    return told(build + "vmas 1\n  700+64 rw-p /bin/go inode=7\n  740+9000 rw-p\n@11 scan 1: 740+" + count +
                "\n");
  };
  EXPECT_EQ(pages(bss(kRace, "2750"), "race.internal"), 2750u);
  EXPECT_EQ(pages(bss(kRace, "8000"), "race.internal"), 0u);  // 31 MiB: mostly the program's own variables
  EXPECT_EQ(pages(bss(kRace, "8000"), "program.data"), 8000u);
  EXPECT_EQ(pages(bss(kGo, "2750"), "program.data"), 2750u);
}

TEST(Owners, LargeMappingBesideALibraryIsNoBss) {
  auto beside = [](const std::string& site, const std::string& vma) {
    return pages(told(kC + kCode + site +
                      "vmas 1\n  7efff+1 r-xp /lib/x.so inode=9\n  7f000+2 rw-p /lib/x.so inode=9\n  " + vma +
                      " rw-p\n@11 scan 1: 7f002+9\n"),
                 "program.data");
  };
  EXPECT_EQ(beside("", "7f002+64"), 9u);
  EXPECT_EQ(beside("", "7f002+65"), 0u);
  // ld.so makes a .bss with MAP_FIXED; an allocator's mapping that came to lie there does not say so.
  EXPECT_EQ(beside("mmap 1 7f002+512 s10 flags=0x32\n", "7f002+512"), 9u);
  EXPECT_EQ(beside("mmap 1 7f002+64 s10\n", "7f002+64"), 0u);
}

TEST(Owners, MallocByWhoMappedAndByWhoTouched) {
  auto e = told(kC + kCode + R"(
mmap 1 900+256 s5
mmap 1 c00+256 s10
vmas 1
  400+16 r-xp /bin/c inode=7
  900+256 rw-p
  c00+256 rw-p
  e00+256 rw-p
  f80+256 rw-p
@11 scan 1: 400+1 file
@12 table 1: e00+1 s6 @11.5 w, e01+8 s9 @11.5 w, f80+4 s9 @11.5 w
@13 scan 1: 900+10, c00+20, e00+9, f80+4
)");
  EXPECT_EQ(pages(e, "c.heap.unclassified"), 19u);  // a mapped chunk, and a mapping with malloc's own writes
  EXPECT_EQ(pages(e, "anon.other"), 24u);           // by mmap site and by fault
  const Entry top = top_of(e, "anon.other").at(0);
  EXPECT_EQ(top.how, timeline::How::kMmapSite);
  EXPECT_EQ(frames(e.processes[0], top.stack).at(1), "main (main.c:8)");
}

TEST(Owners, InheritedByFork) {
  auto e = told(kC + kCode + R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  f80+256 rw-p
@11 scan 1: 400+1 file
@12 table 1: f80+4 s9 @11.5 w
@13 fork 2 from 1 pid=6 comm=c exe=/bin/c
vmas 2
  400+16 r-xp /bin/c inode=7
  f80+256 rw-p
@14 scan 2: f80+4
)");
  ASSERT_EQ(e.processes.size(), 2u);
  const LedgerLine& line = e.processes[1].ledger.at(0);
  EXPECT_EQ(line.id(), "anon.other");
  const Entry top = heaviest(e.processes[1].attribution, line).at(0);
  EXPECT_EQ(top.how, timeline::How::kInherited);
  EXPECT_EQ(frames(e.processes[1], top.stack).at(0), "work (main.c:13)");
  EXPECT_EQ(e.processes[0].events.at(0).what, EventWhat::kFork);
}

// The heap of a JVM is below 32 GiB, V8's in pages of 256 KiB that are aligned to it; attached after.
Explanation beside_runtime(const std::string& library) {
  return told(kC + fmt::format(R"(
vmas 1
  400+16 r-xp /bin/c inode=7
  f0000+65536 rw-p
  3f210000+64 rw-p
  7f1234500+800 r-xp {} inode=9
  7f2000010+64 rw-p
@11 scan 1: 400+10 file, f0000+8192, 3f210000+64, 7f2000010+33
@20 scan 1: 400+10 file, f0000+8192, 3f210000+64, 7f2000010+33
)",
                               library));
}

TEST(Owners, AJavaHeapByItsPlace) {
  const auto e = beside_runtime("/usr/lib/jvm/lib/server/libjvm.so");
  EXPECT_EQ(pages(e, "java.heap"), 8192u);
  EXPECT_EQ(pages(e, "js.heap"), 0u);
  EXPECT_EQ(pages(e, "anon.before_attach"), 64u + 33);
  const Finding* found = finding(e, "managed-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->claim, "The Java heap of c holds 32.0 MiB (99 %).");
  EXPECT_EQ(&e.processes[0].findings.front(), found);
}

// One that is larger than what is in use collects seldom, and rises for minutes.
TEST(Owners, AJavaHeapThatRises) {
  const auto for_seconds = [](int seconds) {
    std::string script = kC +
                         "vmas 1\n  400+16 r-xp /bin/c inode=7\n  f0000+500000 rw-p\n  7f1234500+800 r-xp "
                         "/jvm/libjvm.so inode=9\n";
    for (int at = 0; at <= seconds; at += 10)
      script +=
          fmt::format("@{} scan 1: 400+10 file, f0000+{}, 7f1234500+9 file\n", 11 + at, 8192 + 200 * at);
    return finding(told(script), "managed-heap")->kind;
  };
  EXPECT_EQ(for_seconds(120), FindingKind::kExplains);
  EXPECT_EQ(for_seconds(400), FindingKind::kProblem);
}

TEST(Owners, AJavaScriptHeapByItsShape) {
  const auto e = beside_runtime("/usr/lib/libnode.so.115");
  EXPECT_EQ(pages(e, "js.heap"), 8192u + 64);
  EXPECT_EQ(pages(e, "anon.before_attach"), 33u) << "not aligned";
  EXPECT_EQ(finding(e, "managed-heap")->claim, "The JavaScript heap (V8) of c holds 32.2 MiB (99 %).");
}

TEST(Owners, NoManagedHeapWithoutItsRuntime) {
  const auto e = beside_runtime("/usr/lib/libz.so.1");
  EXPECT_EQ(pages(e, "java.heap") + pages(e, "js.heap"), 0u);
  EXPECT_EQ(finding(e, "managed-heap"), nullptr);
}

}  // namespace
}  // namespace memwhy::explain
