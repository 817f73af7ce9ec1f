// SPDX-License-Identifier: Apache-2.0
// What a program that is not Go's mapped by itself: told where malloc's tables were read, and have none of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/explain/told.h"

namespace memwhy::explain {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const std::string kProgram =
    "@10 binary b1 /bin/c inode=7\nattach 1 pid=5 comm=c exe=/bin/c binary=b1\nvmas 1\n"
    "  555500000+65536 rw-p [heap]\n  20000000+65536 rw-p\n";
const std::string kMalloc =
    "allocator-heap 1 glibc arenas=1 used=4M\nruntime-pages 1 glibc\n  555500000+1024 arena live=4M\n";
const std::string kScan = "scan 1: 555500000+1024, 20000000+10240\n";

TEST(COwnMappings, WhatMallocDoesNotHave) {
  const auto e = told(kProgram + "@11 " + kMalloc + kScan);
  EXPECT_EQ(pages(e, "anon.mapped"), 10240u);
  EXPECT_EQ(e.processes[0].coverage.before_attach_bytes, 0u);
  const Finding& found = e.processes[0].findings.front();
  EXPECT_EQ(found.id, "own-mappings");
  EXPECT_EQ(found.kind, FindingKind::kExplains);
  EXPECT_EQ(found.bytes, 40u << 20);
  EXPECT_EQ(found.headline,
            "40.0 MiB (91 %) were mapped by the program or a library itself, outside of malloc");
  EXPECT_THAT(found.evidence, Contains(HasSubstr("20000000000-20010000000 rw-p")));
  EXPECT_THAT(found.against, Contains(HasSubstr("touched before memwhy attached")));
  EXPECT_EQ(finding(e, "largest-owner"), nullptr);
}

TEST(COwnMappings, InHugePages) {
  const auto e = told(kProgram + "@11 " + kMalloc + "scan 1: 555500000+1024, 20000000+10240 huge\n");
  const Finding& found = e.processes[0].findings.front();
  EXPECT_THAT(found.headline, HasSubstr("outside of malloc, 40.0 MiB of it in huge pages"));
  EXPECT_THAT(found.evidence, Contains(HasSubstr("the program may use much less")));
  EXPECT_EQ(figure(found, "huge_bytes"), 40 << 20);
}

TEST(COwnMappings, GivenBackLazily) {
  const auto e = told(kProgram + "@11 " + kMalloc + kScan + "@12 advise 1 20000000+9000 free\n@13 " +
                      kMalloc + "scan 1: 555500000+1024, 20000000+10240\n");
  const Finding* found = finding(e, "own-mappings");
  ASSERT_NE(found, nullptr);
  EXPECT_THAT(found->headline,
              HasSubstr("outside of malloc, 35.2 MiB of it given back lazily (MADV_FREE): the kernel takes"));
  EXPECT_EQ(figure(*found, "lazy_bytes"), 9000 * 4096);
}

// What was mapped before memwhy came and what is mapped since are one heap: it is told once, and as one.
TEST(COwnMappings, ThatKeepGrowing) {
  const auto grown = [](std::initializer_list<int> before, std::initializer_list<int> since) {
    std::string script = kProgram +
                         "symbol 1 0x401900 binary=b1 arena_grow@arena.c:12\nstack s1 1 0x401900\n@11 " +
                         kMalloc + kScan;
    int seconds = 20;
    for (auto was = before.begin(), is = since.begin(); was != before.end(); ++was, ++is, seconds += 10)
      script += fmt::format(
          "@{} table 1 restated: 22800000+{} s1 @{} w\n@{} {}scan 1: 555500000+1024, 20000000+{}, "
          "22800000+{}\n",
          seconds, *is, seconds - 5, seconds + 1, kMalloc, *was, *is);
    return told(script);
  };
  const auto e = grown({10240, 10240, 10240, 10240, 10240}, {2000, 6000, 10000, 14000, 18000});
  const Finding* found = finding(e, "anon-growth");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->kind, FindingKind::kProblem);
  EXPECT_EQ(found->bytes, (10240u + 18000) * 4096);
  EXPECT_EQ(found->headline,
            "110.3 MiB (97 %) were mapped by the program or a library itself, outside of malloc, and keep "
            "growing: 70.3 MiB of it by arena_grow (arena.c:12)");
  EXPECT_EQ(finding(e, "own-mappings"), nullptr);
  const auto replaced = grown({10240, 8000, 6000, 3000, 1000}, {2000, 4240, 6240, 9240, 11240});
  EXPECT_EQ(finding(replaced, "anon-growth"), nullptr);
  EXPECT_NE(finding(replaced, "own-mappings"), nullptr);
}

// MAP_POPULATE, seen: by a stack.
Explanation mapped_by(const char* frames, const std::string& malloc) {
  const std::string vmas = "vmas 1\n  400+16 r-xp /bin/c inode=7\n  555500000+65536 rw-p [heap]\n";
  return told(fmt::format("@10 binary b1 /bin/c inode=7\nbinary b2 /lib/libc.so.6 inode=8\n"
                          "attach 1 pid=5 comm=c exe=/bin/c binary=b1\n"
                          "symbol 1 0x401600 binary=b2 __mmap@mmap64.c:58\n"
                          "symbol 1 0x401900 ret binary=b1 arena_init@arena.c:12\nstack s1 1 {}\n{}"
                          "@11 mmap 1 20000000+65536 s1\n{}  20000000+65536 rw-p\n",
                          frames, vmas, vmas) +
              malloc + kScan);
}

// Of a stack that ends in libc there is nothing to say.
TEST(COwnMappings, ByTheProgramsOwnFunctionOrByNone) {
  const auto claim = [](const char* frames) {
    return finding(mapped_by(frames, kMalloc), "own-mappings")->claim;
  };
  EXPECT_THAT(claim("0x401600 0x401900"),
              HasSubstr("outside of malloc, 40.0 MiB of it by arena_init (arena.c:12)."));
  EXPECT_THAT(claim("0x401600"), HasSubstr("outside of malloc."));
}

TEST(COwnMappings, SilentWhereMallocWasNotReadOrWhereItIsLittle) {
  EXPECT_EQ(finding(told(kProgram + "@11 " + kScan), "own-mappings"), nullptr);
  EXPECT_EQ(finding(mapped_by("0x401600 0x401900", ""), "own-mappings"), nullptr);
  EXPECT_EQ(
      finding(told(kProgram + "@11 " + kMalloc + "scan 1: 555500000+1024, 20000000+2048\n"), "own-mappings"),
      nullptr);
}

// A heap that is there and could not be read may be where they are.
TEST(COwnMappings, SilentBesideAHeapThatCouldNotBeRead) {
  const auto e = told(kProgram + "@11 " + kMalloc + "runtime-pages 1 pymalloc unreadable\n" + kScan);
  EXPECT_EQ(pages(e, "anon.before_attach"), 10240u);
  EXPECT_EQ(finding(e, "own-mappings"), nullptr);
}

}  // namespace
}  // namespace memwhy::explain
