// SPDX-License-Identifier: Apache-2.0
// What is said of a C heap: what a call would return, why it returns nothing, and which size grows.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kServer =
    "@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\nvmas 1\n  555500000+65536 "
    "rw-p [heap]\n";

// One scan of an arena of 100 MiB, as told.
Explanation with_heap(uint64_t used_mib, const std::string& numbers) {
  return told(
      kServer +
      fmt::format("@11 allocator-heap 1 glibc {}\nruntime-pages 1 glibc\n  555500000+25600 arena live={}M "
                  "free={}M\nscan 1: 555500000+25600\n",
                  numbers, used_mib, 100 - used_mib));
}

TEST(CHeap, StandsInTheLedgerByWhatIsUsedAndFree) {
  const auto e = with_heap(30, "used=30M trimmable=60M pinned=10M");
  EXPECT_EQ(pages(e, "c.heap.used"), 30 * 256u);
  EXPECT_EQ(pages(e, "c.heap.free"), 70 * 256u);
  EXPECT_EQ(pages(e, "anon.before_attach"), 0u);
}

TEST(CHeapFree, PromisesWhatMallocTrimWouldReturn) {
  const auto e = with_heap(30, "arenas=1 used=30M trimmable=60M pinned=10M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 70u << 20);
  EXPECT_EQ(found->recoverable_bytes, 60u << 20);
  EXPECT_EQ(found->claim,
            "malloc keeps 70.0 MiB (70 %) of memory that c has freed; malloc_trim(0) would return 60.0 MiB "
            "of it now.");
  EXPECT_THAT(found->evidence,
              Contains("10.0 MiB are free but share pages with objects in use: no call returns them"));
  EXPECT_THAT(found->remedy, Not(HasSubstr("MALLOC_ARENA_MAX")));
}

// madvise() does not drop what is locked: measured, malloc_trim(0) returned 8 KiB of 100 MiB.
TEST(CHeapFree, OfWhatIsLockedNothingIsPromised) {
  const auto e = told(kServer +
                      "@11 allocator-heap 1 glibc used=30M trimmable=60M pinned=10M\nruntime-pages 1 glibc\n"
                      "  555500000+25600 arena live=30M free=70M\nscan 1: 555500000+25600\n"
                      "@12 counters 1 locked=100M\n");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_EQ(
      found->claim,
      "malloc keeps 70.0 MiB (70 %) of memory that c has freed; it is locked (mlockall), so that little "
      "or none of it comes back.");
  EXPECT_THAT(found->remedy, HasSubstr("Lock only what must never wait"));
}

// As GOGC=100 lets a Go heap: as much again as is in use.
TEST(CHeapFree, RoomOfACollectorIsNoProblem) {
  const auto kind = [](const char* file, int used_mib) {
    const auto e =
        told(fmt::format("@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\nvmas 1\n"
                         "  400+64 r-xp {} inode=9\n  555500000+65536 rw-p [heap]\n"
                         "@11 allocator-heap 1 glibc arenas=1 used={}M trimmable={}M\nruntime-pages 1 glibc\n"
                         "  555500000+25600 arena live={}M free={}M\nscan 1: 400+10 file, 555500000+25600\n",
                         file, used_mib, 100 - used_mib, used_mib, 100 - used_mib));
    return finding(e, "c-heap-free")->kind;
  };
  EXPECT_EQ(kind("/usr/lib/libjvm.so", 60), FindingKind::kExplains);
  EXPECT_EQ(kind("/usr/lib/libjvm.so", 30), FindingKind::kProblem) << "more than is in use";
  EXPECT_EQ(kind("/usr/lib/libz.so", 60), FindingKind::kProblem);
}

TEST(CHeapFree, WithoutARemedyItExplains) {
  const auto e = with_heap(30, "arenas=1 used=30M pinned=70M size=512:29M size=48:1M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->recoverable_bytes, 0u);
  EXPECT_EQ(found->claim,
            "malloc keeps 70.0 MiB (70 %) of memory that c has freed; no call returns it: each of its pages "
            "holds an object in use.");
  EXPECT_THAT(found->remedy, HasSubstr("each of its pages holds an object in use"));
  EXPECT_THAT(found->evidence, Contains(HasSubstr("(mostly chunks of 512 bytes)")));
  EXPECT_THAT(finding(with_heap(30, "arenas=9 used=30M top=60M pinned=10M"), "c-heap-free")->remedy,
              HasSubstr("at the top of arenas"));
  EXPECT_THAT(
      finding(with_heap(30, "arenas=9 used=30M caches=90 cached=60M pinned=10M"), "c-heap-free")->remedy,
      HasSubstr("in the caches of threads"));
}

TEST(CHeapFree, FewerArenasAreACeilingWithTheFullestMoment) {
  const auto e = with_heap(10, "arenas=17 used=10M trimmable=80M pinned=10M beside_main=85M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_THAT(found->remedy, HasSubstr("would save at most 85.0 MiB, perhaps nothing"));
  EXPECT_THAT(found->evidence, Contains(HasSubstr("at the fullest moment seen 10.0 MiB were in use")));
  EXPECT_EQ(found->recoverable_bytes, 80u << 20) << "never a ceiling";
  EXPECT_THAT(
      finding(with_heap(10, "arenas=17 arena_max=4 used=10M trimmable=90M beside_main=85M"), "c-heap-free")
          ->remedy,
      Not(HasSubstr("MALLOC_ARENA_MAX")))
      << "it is set already";
}

TEST(CHeapFree, HugePagesAreTold) {
  const auto e = with_heap(30, "arenas=1 used=30M trimmable=70M huge=40M");
  EXPECT_THAT(finding(e, "c-heap-free")->against,
              Contains(HasSubstr("40.0 MiB of what malloc_trim(0) returns are parts of huge")));
}

TEST(CHeapFree, AThresholdThatRoseIsASuggestionOnly) {
  const auto told_of = [](const char* more) {
    return finding(with_heap(30, std::string("arenas=1 used=30M trimmable=70M large_free=65M ") + more),
                   "c-heap-free")
        ->remedy;
  };
  EXPECT_THAT(told_of("mmap_threshold=31457280"), HasSubstr("MALLOC_TRIM_THRESHOLD_"));
  EXPECT_THAT(told_of("mmap_threshold=31457280 fixed"), Not(HasSubstr("MALLOC_TRIM_THRESHOLD_")));
  EXPECT_THAT(told_of("mmap_threshold=131072"), Not(HasSubstr("MALLOC_TRIM_THRESHOLD_")));
}

TEST(CHeapFree, AHealthyHeapIsNoMatter) {
  EXPECT_EQ(finding(with_heap(90, "arenas=1 used=90M trimmable=8M pinned=2M"), "c-heap-free"), nullptr);
  EXPECT_EQ(finding(told(kServer + "@11 scan 1: 555500000+25600\n"), "c-heap-free"), nullptr);
}

// Used memory at each scan, beside a heap that stays; `untouched` MiB of its chunks were never written to.
std::string growing(const std::vector<int>& used_mib, int untouched = 0) {
  std::string script = kServer;
  int seconds = 11;
  for (const int mib : used_mib) {
    script += fmt::format(
        "@{} allocator-heap 1 glibc arenas=1 used={}M size=1008:{}M size=48:20M\nruntime-pages 1 glibc\n  "
        "555500000+{} arena "
        "live={}M\nscan 1: 555500000+{}\n",
        seconds, mib, mib - 20 + untouched, mib * 256, mib, mib * 256);
    seconds += 10;
  }
  return script;
}

TEST(CHeapGrowth, NamesTheSizeThatGrows) {
  const auto e = told(growing({30, 50, 70, 90, 110, 130, 150, 170}));
  const Finding* found = finding(e, "c-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 170u << 20);
  EXPECT_THAT(found->evidence, Contains("chunks of 1008 bytes grew by 140.0 MiB, to 150.0 MiB"));
  EXPECT_THAT(found->remedy, HasSubstr("an object of 985 to 1000 bytes"));
  EXPECT_EQ(figure(*found, "chunk_size"), 1008);
  EXPECT_EQ(figure(*found, "chunk_grown_bytes"), 140 << 20);
  EXPECT_EQ(problems(e), 1u);
  EXPECT_THAT(found->evidence, Each(Not(HasSubstr("[heap]")))) << "nobody was seen to touch it";
}

// Only a damaged recording has such chunks.
TEST(CHeapGrowth, AChunkThatIsTooSmallIsOfTheSmallestRequest) {
  std::string script = growing({30, 50, 70, 90, 110, 130, 150, 170});
  for (size_t at = 0; (at = script.find("size=1008:", at)) != std::string::npos;)
    script.replace(at, 10, "size=8:");
  const auto e = told(script);
  ASSERT_NE(finding(e, "c-heap-growth"), nullptr);
  EXPECT_THAT(finding(e, "c-heap-growth")->remedy, HasSubstr("an object of 9 to 24 bytes"));
}

// A program that is busy with its heap may spoil one reading of it: what was not told apart then did not go away.
TEST(CHeapGrowth, OneReadingThatFailedHidesNone) {
  std::string script = growing({30, 50, 70, 90, 110, 130, 150, 170});
  const size_t at = script.find("allocator-heap 1", script.find("@51 ")), end = script.find("scan 1", at);
  script.erase(at, end - at);
  const Explanation e = told(script);
  const Finding* found = finding(e, "c-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 170u << 20);
}

TEST(CHeapGrowth, ChunksThatWereNotWrittenToAreVirtual) {
  const auto e = told(growing({30, 50, 70, 90, 110, 130, 150, 170}, 60));
  EXPECT_THAT(finding(e, "c-heap-growth")->evidence,
              Contains("chunks of 1008 bytes grew by 140.0 MiB, to 210.0 MiB virtual"));
}

// Of the same size are requests of 985 to 1,000 bytes; 984 and 1,001 are other chunks.
TEST(CHeapGrowth, NamesWhoAllocatesTheSizeThatGrows) {
  const std::string calls =
      "@12 symbol 1 0x4010ff leak@server.c:7\nsymbol 1 0x4011ff lookup@server.c:9\n"
      "symbol 1 0x4012ff ret main@server.c:20\nstack s5 1 0x4010ff 0x4012ff\nstack s6 1 0x4011ff 0x4012ff\n"
      "allocates 1 1000 s5\nallocates 1 985 s5\nallocates 1 1000 s6\n"
      "allocates 1 984 s6\nallocates 1 1001 s6\nallocates 1 24 s6\nallocates 1 24 -\n";
  const auto e = told(growing({30, 50, 70, 90, 110, 130, 150, 170}) + calls);
  const Finding* found = finding(e, "c-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_THAT(found->evidence, Contains(HasSubstr("3 were for chunks of 1008 bytes: 2 by leak")));
  EXPECT_EQ(figure(*found, "calls_seen"), 7);
  EXPECT_EQ(figure(*found, "calls_of_size"), 3);
  EXPECT_EQ(figure(*found, "calls_by_caller"), 2);
  EXPECT_THAT(found->remedy, HasSubstr("985 to 1000 bytes that leak (server.c:7) allocates"));
  ASSERT_TRUE(e.processes[0].allocations);
  EXPECT_EQ(e.processes[0].allocations->calls, 7u);

  const auto other = told(growing({30, 50, 70, 90, 110, 130, 150, 170}) + "@12 allocates 1 24 -\n");
  EXPECT_THAT(finding(other, "c-heap-growth")->evidence,
              Contains(HasSubstr("none was for chunks of 1008 bytes")));
  EXPECT_THAT(finding(told(growing({30, 50, 70, 90, 110, 130, 150, 170})), "c-heap-growth")->remedy,
              HasSubstr("--who-allocates"));
}

// Buffers of Node.js, direct buffers of a JVM: their runtime's own heap is another.
TEST(CHeapGrowth, BesideTheHeapOfARuntime) {
  std::string script = growing({30, 50, 70, 90, 110, 130, 150, 170});
  const std::string pages = "runtime-pages 1 glibc", heap = "allocator-heap 1 v8 used=3M\n";
  for (size_t at = script.find(pages); at != std::string::npos;
       at = script.find(pages, at + heap.size() + pages.size()))
    script.insert(at, heap);
  const auto e = told(script);
  const Finding* found = finding(e, "c-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->headline,
            "170.0 MiB (100 %) are allocated with malloc, outside of V8's heap, and keep growing");
  EXPECT_THAT(found->evidence, Contains(HasSubstr("what Buffers and ArrayBuffers hold")));
  EXPECT_THAT(found->remedy, HasSubstr("--max-old-space-size does not bound it"));
}

// Strings, buffers: a collection frees them, and none may have been due. A JVM's is not due because of them.
TEST(CHeapGrowth, OfACollectedRuntimeIsAProblemAfterFiveMinutes) {
  const auto of = [](const std::string& library, int readings) {
    std::vector<int> mib;
    for (int i = 0; i < readings; ++i) mib.push_back(30 + 20 * i);
    std::string script = growing(mib);
    script.insert(script.find("vmas 1\n") + 7, "  400000+16 r-xp /usr/lib/" + library + " inode=9\n");
    const std::string scan = "scan 1: ";
    for (size_t at = script.find(scan); at != std::string::npos; at = script.find(scan, at + scan.size()))
      script.insert(at + scan.size(), "400000+16, ");
    return told(script);
  };
  const auto early = of("libruby-3.1.so.3.1", 8);
  const Finding* found = finding(early, "c-heap-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->headline,
            "170.0 MiB (100 %) are allocated with malloc, and rise: a leak or garbage is not known yet");
  EXPECT_THAT(found->against, Contains(HasSubstr("known when it was seen to rise for 5 min")));
  EXPECT_EQ(problems(early), 0u);
  EXPECT_EQ(early.processes[0].verdict.kind, VerdictKind::kNotSeenLongEnough);
  const auto late = of("libruby-3.1.so.3.1", 34);
  EXPECT_EQ(finding(late, "c-heap-growth")->kind, FindingKind::kProblem);
  EXPECT_THAT(finding(late, "c-heap-growth")->headline, HasSubstr("and keep growing"));
  EXPECT_EQ(finding(of("libjvm.so", 8), "c-heap-growth")->kind, FindingKind::kProblem);
}

TEST(CHeapGrowth, SilentWhenItStays) {
  EXPECT_EQ(finding(told(growing({170, 170, 168, 171, 170, 170, 169, 170})), "c-heap-growth"), nullptr);
}

}  // namespace
}  // namespace memwhy::explain
