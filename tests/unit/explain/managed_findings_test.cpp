// SPDX-License-Identifier: Apache-2.0
// What is said of the heaps of a JVM, of V8 and of PHP.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kAttached =
    "@10 binary b1 /bin/p inode=7\nattach 1 pid=5 comm=p exe=/bin/p binary=b1\nvmas 1\n  7f0000000+65536 "
    "rw-p\n";

// Of 120 MiB of a JVM 100 MiB are heap, of which so much is filled; 12 MiB are code, 8 MiB classes.
Explanation jvm(uint64_t used_mib, const std::string& more) {
  return told(
      kAttached +
      fmt::format(
          "@11 allocator-heap 1 hotspot arenas=100 used={0}M top={1}M {2}\nruntime-pages 1 hotspot\n  "
          "7f0000000+{3} objects live={0}M\n  {4:x}+{5} free\n  7f0006400+3072 code\n  "
          "7f0007000+2048 classes\nscan 1: 7f0000000+30720\n",
          used_mib, 100 - used_mib, more, used_mib * 256, 0x7f0000000 + used_mib * 256,
          (100 - used_mib) * 256));
}

TEST(JavaHeap, WhatHoldsNoObjectIsNamedWithItsCollector) {
  const auto e = jvm(30, "collector=\"G1\" collections=9");
  EXPECT_EQ(pages(e, "java.heap.used"), 30 * 256u);
  EXPECT_EQ(pages(e, "java.heap.free"), 70 * 256u);
  EXPECT_EQ(pages(e, "java.code"), 3072u);
  EXPECT_EQ(pages(e, "java.metaspace"), 2048u);
  const Finding* found = finding(e, "java-heap-committed");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt) << "how much of the rest is garbage is unknown";
  EXPECT_EQ(found->claim,
            "70.0 MiB (58 %) of p's Java heap hold no object and are resident; 30.0 MiB are filled.");
  EXPECT_THAT(found->evidence, Contains("the collector is G1, and has collected 9 times"));
  EXPECT_THAT(found->remedy, HasSubstr("-XX:MaxHeapFreeRatio"));
  EXPECT_THAT(found->remedy, Not(HasSubstr("AlwaysPreTouch")));
}

TEST(JavaHeap, WhatWasAskedForAtTheStartIsToldAsSuch) {
  const auto e = jvm(30, "collector=\"Serial\" pretouched collections=1");
  EXPECT_THAT(finding(e, "java-heap-committed")->remedy, HasSubstr("without -XX:+AlwaysPreTouch"));
  EXPECT_THAT(finding(e, "java-heap-committed")->remedy, HasSubstr("-Xmn"));
}

TEST(JavaHeap, AFullOneIsNoMatter) {
  EXPECT_EQ(finding(jvm(95, "collector=\"G1\""), "java-heap-committed"), nullptr);
}

TEST(JavaHeap, WhatWasNotReadIsTold) {
  const auto e = jvm(30, "collector=\"G1\" problem=\"some regions were not read\"");
  EXPECT_EQ(finding(e, "java-heap-committed")->confidence, Confidence::kMedium);
  EXPECT_THAT(finding(e, "java-heap-committed")->against,
              Contains("not everything was read: some regions were not read"));
}

TEST(JavaHeap, OfWhichOnlyThePlaceIsKnown) {
  const auto e = told(kAttached +
                      "@11 allocator-heap 1 hotspot collector=\"ZGC\" problem=\"mapped in several views\"\n"
                      "runtime-pages 1 hotspot\n  7f0000000+20480 unread\nscan 1: 7f0000000+20480\n");
  EXPECT_EQ(pages(e, "java.heap.unread"), 20480u);
  const Finding* found = finding(e, "managed-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->evidence.at(0), "mapped in several views");
  EXPECT_THAT(found->claim, HasSubstr("80.0 MiB (100 %) of p are the Java heap; the collector is ZGC."));
}

// A JVM of 50 MiB and `more` with each of so many scans, `apart` seconds each. heap(i, mib), pages(mib): the words of its reading.
Explanation growing_jvm(int scans, int apart, int more, auto heap, auto pages) {
  std::string script =
      "@10 binary b1 /bin/p inode=7\nattach 1 pid=5 comm=p exe=/bin/p binary=b1\nvmas 1\n  7e0000000+16 r-xp "
      "/usr/lib/jvm/lib/server/libjvm.so inode=9\n  7f0000000+262144 rw-p\n";
  for (int i = 0; i < scans; ++i) {
    const int mib = 50 + more * i;
    script += fmt::format(
        "@{} allocator-heap 1 hotspot arenas=100 {} collector=\"G1\"\nruntime-pages 1 hotspot\n  "
        "7f0000000+{} {}\nscan 1: 7e0000000+4 file, 7f0000000+{}\n",
        11 + i * apart, heap(i, mib), mib * 256, pages(mib), mib * 256);
  }
  return told(script);
}

// Each scan with 10 MiB more filled and two collections since.
Explanation rising_jvm(int scans, int apart) {
  return growing_jvm(
      scans, apart, 10, [](int i, int mib) { return fmt::format("used={}M collections={}", mib, 2 * i + 1); },
      [](int mib) { return fmt::format("objects live={}M", mib); });
}

TEST(JavaHeap, ThatRisesIsGarbageOrALeakUntilItWasWatchedLongEnough) {
  const auto brief = rising_jvm(9, 10);
  const Finding* found = finding(brief, "managed-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_THAT(found->headline, HasSubstr("a leak or garbage is not known yet"));
  EXPECT_EQ(figure(*found, "grown_bytes"), 80 << 20);
  EXPECT_EQ(figure(*found, "collections"), 16);
  const auto long_one = rising_jvm(41, 10);
  ASSERT_NE(finding(long_one, "managed-heap"), nullptr);
  EXPECT_EQ(finding(long_one, "managed-heap")->kind, FindingKind::kProblem);
  EXPECT_EQ(finding(jvm(95, "collector=\"G1\""), "managed-heap"), nullptr);
}

// Each scan with `more` MiB more of classes.
Explanation classes(int scans, int more) {
  return growing_jvm(
      scans, 10, more, [](int, int) { return "used=1M"; }, [](int) { return "classes"; });
}

TEST(JavaMetaspace, ThatRisesIsAStartOrALeakUntilItWasWatchedLongEnough) {
  const auto brief = classes(9, 10);
  const Finding* found = finding(brief, "java-metaspace");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 130u << 20);
  EXPECT_THAT(found->headline, HasSubstr("a leak of class loaders or a start is not known yet"));
  EXPECT_EQ(figure(*found, "grown_bytes"), 80 << 20);
  const auto long_one = classes(41, 10);
  ASSERT_NE(finding(long_one, "java-metaspace"), nullptr);
  EXPECT_EQ(finding(long_one, "java-metaspace")->kind, FindingKind::kProblem);
  EXPECT_THAT(finding(long_one, "java-metaspace")->remedy, HasSubstr("VM.classloader_stats"));
  const auto steady = classes(41, 0);
  ASSERT_NE(finding(steady, "java-metaspace"), nullptr);
  EXPECT_EQ(finding(steady, "java-metaspace")->kind, FindingKind::kExplains);
  EXPECT_THAT(finding(steady, "java-metaspace")->remedy, HasSubstr("None needed"));
}

// 64 MiB of V8's, of which 20 MiB are young, and so much of malloc's beside it.
Explanation node(uint64_t malloc_mib, const char* more) {
  return told(kAttached +
              fmt::format("@11 allocator-heap 1 v8 {2}\nruntime-pages 1 v8\n  7f0000000+10240 objects "
                          "live=38M free=2M\n  7f0002800+5120 young\n  7f0003c00+1024 code\n"
                          "allocator-heap 1 glibc arenas=1 used={0}M\nruntime-pages 1 glibc\n  "
                          "7f0005000+{1} arena live={0}M\nscan 1: 7f0000000+16384, 7f0005000+{1}\n",
                          malloc_mib, malloc_mib * 256, more));
}

TEST(JavascriptHeap, IsToldByWhatItsPagesAreFor) {
  const auto e = node(10, "arenas=1");
  EXPECT_EQ(pages(e, "v8.heap.young"), 5120u);
  const Finding* found = finding(e, "javascript-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 64u << 20);
  EXPECT_EQ(found->recoverable_bytes, std::nullopt);
  EXPECT_THAT(found->claim, HasSubstr("64.0 MiB (86 %) of p are the heap of V8; 38.0 MiB hold objects"));
  EXPECT_THAT(found->evidence, Contains(HasSubstr("20.0 MiB are young objects")));
  EXPECT_THAT(found->evidence, Not(Contains(HasSubstr("workers"))));
}

TEST(JavascriptHeap, WorkersHaveHeapsOfTheirOwn) {
  EXPECT_THAT(finding(node(10, "arenas=3"), "javascript-heap")->evidence,
              Contains("there are 3 heaps: the main thread's and those of workers"));
}

TEST(JavascriptHeap, WhatIsOutsideIsNotBoundByV8) {
  const auto e = node(100, "arenas=1");
  const Finding* found = finding(e, "javascript-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->bytes, 100u << 20);
  EXPECT_EQ(found->claim,
            "100.0 MiB (61 %) of p are in use outside of V8's heap, by malloc; that heap has 64.0 MiB.");
  EXPECT_THAT(found->remedy, HasSubstr("does not bound it"));
}

// One sentence of a heap that rises, not two.
TEST(JavascriptHeap, ThatRisesIsToldOnce) {
  std::string script =
      "@10 binary b1 /usr/bin/node inode=7\nattach 1 pid=5 comm=node exe=/usr/bin/node binary=b1\nvmas 1\n"
      "  7e0000000+16 r-xp /usr/bin/node inode=7\n  7f0000000+262144 rw-p\n";
  for (int i = 0; i <= 40; ++i)
    script += fmt::format(
        "@{} allocator-heap 1 v8 arenas=1\nruntime-pages 1 v8\n  7f0000000+{} objects live={}M\n"
        "scan 1: 7e0000000+4 file, 7f0000000+{}\n",
        11 + i, (20 + 2 * i) * 256, 20 + 2 * i, (20 + 2 * i) * 256);
  const auto e = told(script);
  const Finding* found = finding(e, "javascript-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_THAT(found->headline, HasSubstr("and it rises: a leak or garbage is not known yet"));
  EXPECT_THAT(found->evidence, Contains(HasSubstr("rose by 78.0 MiB")));
  EXPECT_EQ(figure(*found, "grown_bytes"), 78 << 20);
  EXPECT_EQ(finding(e, "managed-heap"), nullptr);
}

// 40 MiB in use and 60 MiB free, of 100 MiB.
TEST(PhpHeap, IsToldByWhatScriptsKeepAndWhatIsFree) {
  const auto e = told(kAttached +
                      "@11 allocator-heap 1 zend arenas=1 used=40M\nruntime-pages 1 zend\n  7f0000000+10240 "
                      "objects live=30M free=10M\n  7f0002800+15360 objects live=10M free=50M\n"
                      "scan 1: 7f0000000+25600\n");
  EXPECT_EQ(pages(e, "php.heap.used"), 10240u);
  EXPECT_EQ(pages(e, "php.heap.free"), 15360u);
  const Finding* found = finding(e, "php-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->bytes, 100u << 20);
  EXPECT_EQ(found->claim, "100.0 MiB (100 %) of p are the heap of PHP; scripts keep 40.0 MiB of it.");
  EXPECT_THAT(found->evidence, Contains(HasSubstr("60.0 MiB are free pages and slots")));
}

// It counts references: no garbage waits for a collection.
TEST(PhpHeap, WhatRisesIsAProblem) {
  std::string script = kAttached;
  for (int i = 0; i <= 30; ++i)
    script += fmt::format(
        "@{} allocator-heap 1 zend arenas=1 used={}M\nruntime-pages 1 zend\n  7f0000000+{} objects "
        "live={}M\nscan 1: 7f0000000+{}\n",
        11 + i, 20 + 2 * i, (20 + 2 * i) * 256, 20 + 2 * i, (20 + 2 * i) * 256);
  const auto e = told(script);
  const Finding* found = finding(e, "php-heap");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, 80u << 20);
  EXPECT_THAT(found->evidence, Contains(HasSubstr("rose by")));
}

}  // namespace
}  // namespace memwhy::explain
