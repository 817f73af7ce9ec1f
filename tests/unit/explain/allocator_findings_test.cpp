// SPDX-License-Identifier: Apache-2.0
// What is said of allocators other than glibc's, and of several in one process.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const std::string kAttached =
    "@10 binary b1 /bin/p inode=7\nattach 1 pid=5 comm=p exe=/bin/p binary=b1\nvmas 1\n  555500000+65536 "
    "rw-p [heap]\n  7f0000000+65536 rw-p\n";

// 100 MiB of arenas, of which so much is in use.
Explanation python(uint64_t used_mib, const char* more = "") {
  return told(
      kAttached +
      fmt::format(
          "@11 allocator-heap 1 pymalloc arenas=100 used={}M pinned={}M {}\nruntime-pages 1 pymalloc\n  "
          "7f0000000+25600 objects live={}M free={}M\nscan 1: 7f0000000+25600\n",
          used_mib, 100 - used_mib, more, used_mib, 100 - used_mib));
}

TEST(PythonArenas, NoCallReturnsThem) {
  const auto e = python(2);
  EXPECT_EQ(pages(e, "python.objects"), 2 * 256u);
  EXPECT_EQ(pages(e, "python.free"), 98 * 256u);
  const Finding* found = finding(e, "python-arenas");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->recoverable_bytes, 0u);
  EXPECT_EQ(
      found->claim,
      "100.0 MiB are 100 arenas of CPython with small objects; 2.0 MiB of that are in use, 98.0 MiB (98 "
      "%) are free.");
  EXPECT_THAT(found->remedy, HasSubstr("No call returns this memory"));
  EXPECT_EQ(finding(e, "c-heap-free"), nullptr) << "it does not stand behind malloc";
}

TEST(PythonArenas, FullOnesAreNoMatter) { EXPECT_EQ(finding(python(95), "python-arenas"), nullptr); }

TEST(PythonArenas, WhatWasNotReadIsTold) {
  EXPECT_THAT(finding(python(10, "unknown=1M"), "python-arenas")->against,
              Contains("1.0 MiB of pools could not be read, and count as in use"));
}

// One scan of 100 MiB behind malloc, as told.
Explanation behind_malloc(const char* allocator, const char* numbers) {
  return told(kAttached + fmt::format("@11 allocator-heap 1 {} arenas=4 used=20M {}\nruntime-pages 1 {}\n  "
                                      "7f0000000+25600 objects live=20M free=80M\nscan 1: 7f0000000+25600\n",
                                      allocator, numbers, allocator));
}

TEST(Allocators, TheCallIsTheAllocatorsOwn) {
  const auto e = behind_malloc("jemalloc", "trimmable=70M pinned=10M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->recoverable_bytes, 70u << 20);
  EXPECT_THAT(found->claim, HasSubstr("jemalloc keeps 80.0 MiB (80 %)"));
  EXPECT_THAT(found->remedy, HasSubstr("arena.4096.purge"));
  EXPECT_EQ(pages(e, "c.heap.free"), 80 * 256u);
}

// Of 100 MiB behind malloc hardly any is free at 11 s, and 80 MiB are from 21 s on.
Explanation freed_later(const char* allocator, const char* use, const std::vector<int>& seconds) {
  std::string script = kAttached;
  for (const int second : seconds) {
    const bool early = second == 11;
    script += fmt::format(
        "@{0} allocator-heap 1 {1} arenas=4 {3}\nruntime-pages 1 {1}\n  7f0000000+25600 {2} {4}\n"
        "scan 1: 7f0000000+25600\n",
        second, allocator, use,
        early ? "used=90M trimmable=1M pinned=9M" : "used=20M trimmable=70M pinned=10M",
        early ? "live=90M free=10M" : "live=20M free=80M");
  }
  return told(script);
}

TEST(Allocators, WhatGoesBackByItselfIsNoProblem) {
  const auto e = freed_later("jemalloc", "objects", {11, 21});
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kExplains);
  EXPECT_EQ(found->recoverable_bytes, 70u << 20) << "what a call returns now is as it is";
  EXPECT_THAT(found->against, Contains(HasSubstr("shortly before only 1.0 MiB")));
}

TEST(Allocators, WhatStaysIsAProblem) {
  const auto e = freed_later("jemalloc", "objects", {11, 21, 51, 81});
  ASSERT_NE(finding(e, "c-heap-free"), nullptr);
  EXPECT_EQ(finding(e, "c-heap-free")->kind, FindingKind::kProblem) << "for a minute";
  const auto glibc = freed_later("glibc", "arena", {11, 21});
  ASSERT_NE(finding(glibc, "c-heap-free"), nullptr);
  EXPECT_EQ(finding(glibc, "c-heap-free")->kind, FindingKind::kProblem) << "it keeps what it has";
}

TEST(Allocators, WhereACallIsOnlyACeilingNothingIsPromised) {
  const auto e = behind_malloc("mimalloc", "top=60M pinned=20M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->recoverable_bytes, 0u);
  EXPECT_THAT(found->claim, HasSubstr("mi_collect(true) would return at most 60.0 MiB"));
}

TEST(Allocators, WhereThereIsNoCallThatIsSaid) {
  const auto e = behind_malloc("musl", "pinned=80M");
  const Finding* found = finding(e, "c-heap-free");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->claim,
            "musl's malloc keeps 80.0 MiB (80 %) of memory that p has freed; no call returns it now.");
  EXPECT_THAT(found->remedy, HasSubstr("No call returns this memory"));
}

TEST(Allocators, EachIsSpokenOfBesideAnother) {
  const auto e =
      told(kAttached +
           "@11 allocator-heap 1 pymalloc arenas=100 used=2M pinned=98M\nruntime-pages 1 pymalloc\n  "
           "7f0000000+25600 objects live=2M free=98M\nallocator-heap 1 glibc arenas=1 used=10M "
           "trimmable=90M\nruntime-pages 1 glibc\n  555500000+25600 arena live=10M free=90M\nscan 1: "
           "555500000+25600, 7f0000000+25600\n");
  ASSERT_NE(finding(e, "python-arenas"), nullptr);
  EXPECT_EQ(finding(e, "python-arenas")->bytes, 98u << 20);
  ASSERT_NE(finding(e, "c-heap-free"), nullptr);
  EXPECT_EQ(finding(e, "c-heap-free")->recoverable_bytes, 90u << 20);
}

}  // namespace
}  // namespace memwhy::explain
