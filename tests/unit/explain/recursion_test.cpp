// SPDX-License-Identifier: Apache-2.0
// Recursion is written once, and stacks that differ by nothing else are one entry.
#include "explain/recursion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "explain/heaviest.h"
#include "unit/explain/go_script.h"

namespace memwhy::explain {
namespace {

using ::testing::ElementsAre;

Frame frame(std::string function, uint32_t line = 0) {
  Frame out;
  out.address = 1;
  out.function = std::move(function);
  out.file = line == 0 ? "" : "/src/tree.c";
  out.line = line;
  out.module = "tree";
  return out;
}

std::vector<std::string> texts(const std::vector<FoldedFrame>& frames, bool deeper = false) {
  std::vector<std::string> out;
  for (const FoldedFrame& one : frames)
    out.push_back(text_of(one.frame, FrameText::kNoPath) + recursion_text(one, deeper));
  return out;
}

TEST(Recursion, IsWrittenOnce) {
  EXPECT_THAT(texts(folded({frame("build", 9), frame("build", 12), frame("build", 13), frame("main", 20)})),
              ElementsAre("build (tree) (recursive, 3 deep at most)", "main (tree.c:20)"));
  EXPECT_THAT(texts(folded({frame("build", 12), frame("build", 12)})),
              ElementsAre("build (tree.c:12) (recursive, 2 deep at most)"));
  EXPECT_THAT(texts(folded({frame("leaf"), frame("build"), frame("build"), frame("main")}), true),
              ElementsAre("leaf (tree)", "build (tree) (recursive, more than 2 deep)", "main (tree)"));
  EXPECT_TRUE(folded({}).empty());
}

TEST(Recursion, ByARoundOfFunctions) {
  EXPECT_THAT(texts(folded({frame("odd", 1), frame("even", 2), frame("odd", 1), frame("even", 2),
                            frame("odd", 3), frame("main", 4)})),
              ElementsAre("odd (tree.c:1)", "even (tree.c:2) (recursive by 2 functions, 2 deep at most)",
                          "odd (tree.c:3)", "main (tree.c:4)"));
  const std::vector<FoldedFrame> frames = folded({frame("a"), frame("b"), frame("a"), frame("b")});
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].first, 1u);
}

TEST(Recursion, WithoutNamesIsNone) {
  EXPECT_EQ(folded({frame(""), frame("")}).size(), 2u) << "two addresses are two places";
  EXPECT_EQ(folded({frame("a"), frame("b"), frame("a")}).size(), 3u);
  Frame other = frame("a");
  other.module = "libtree.so";
  EXPECT_EQ(folded({frame("a"), other}).size(), 2u) << "the same name in two files";
}

TEST(Recursion, StacksThatDifferByDepthAreOneEntry) {
  const auto e = told(R"(@10 binary b1 /srv/bin/c inode=7 build=0123abcd
attach 1 pid=5 comm=c exe=/srv/bin/c binary=b1
symbol 1 0x401e00 binary=b1 build@/src/tree.c:9
symbol 1 0x401e10 ret binary=b1 build@/src/tree.c:12
symbol 1 0x401e20 ret binary=b1 build@/src/tree.c:13
symbol 1 0x401f00 ret binary=b1 main@/src/tree.c:20
symbol 1 0x401f10 ret binary=b1 main@/src/tree.c:21
stack s1 1 0x401e00 0x401e10 0x401f00
stack s2 1 0x401e00 0x401e10 0x401e20 0x401f00
stack s3 1 0x401e00 0x401e20 0x401e20 0x401e10 0x401f00
stack s4 1 0x401e00 0x401e10 0x401f10
vmas 1
  400+16 r-xp /srv/bin/c inode=7
  900+64 rw-p
@11 scan 1: 400+3 file
@12 table 1: 900+5 s1 @11.5 w, 905+3 s2 @11.5 w, 908+2 s3 @11.5 w, 90a+1 s4 @11.5 w
@25 scan 1: 400+3 file, 900+11
)");
  const Attribution& all = e.processes[0].attribution;
  std::vector<std::pair<uint64_t, std::vector<std::string>>> found;
  for (const LedgerLine& line : e.processes[0].ledger)
    for (const Entry& entry : heaviest(all, line))
      if (entry.what == EntryWhat::kStack) found.emplace_back(entry.bytes, texts(folded_of(all, entry)));
  ASSERT_EQ(found.size(), 2u) << "where main calls it is another line";
  EXPECT_EQ(found[0].first, 10u * kPageBytes);
  EXPECT_THAT(found[0].second, ElementsAre("build (c) (recursive, 4 deep at most)", "main (tree.c:20)"));
  EXPECT_EQ(found[1].first, kPageBytes);
}

// Which line of memcpy wrote the first byte of a page is nobody's question; of the program's own function it is.
TEST(Recursion, StacksThatDifferByALineOfMemcpyAreOneEntry) {
  const auto e = told(R"(@10 binary b1 /srv/bin/c inode=7 build=0123abcd
attach 1 pid=5 comm=c exe=/srv/bin/c binary=b1
symbol 1 0x401e00 binary=b1 __memcpy_avx2@/glibc/memmove.S:385
symbol 1 0x401e10 binary=b1 __memcpy_avx2@/glibc/memmove.S:386
symbol 1 0x401e20 binary=b1 fill@/src/tree.c:4
symbol 1 0x401e30 binary=b1 fill@/src/tree.c:5
symbol 1 0x401f00 ret binary=b1 main@/src/tree.c:20
stack s1 1 0x401e00 0x401f00
stack s2 1 0x401e10 0x401f00
stack s3 1 0x401e20 0x401f00
stack s4 1 0x401e30 0x401f00
vmas 1
  400+16 r-xp /srv/bin/c inode=7
  900+64 rw-p
@12 table 1: 900+5 s1 @11.5 w, 905+3 s2 @11.5 w, 908+2 s3 @11.5 w, 90a+1 s4 @11.5 w
@25 scan 1: 400+3 file, 900+11
)");
  std::vector<uint64_t> pages;
  for (const LedgerLine& line : e.processes[0].ledger)
    for (const Entry& entry : heaviest(e.processes[0].attribution, line))
      if (entry.what == EntryWhat::kStack) pages.push_back(entry.bytes / kPageBytes);
  EXPECT_THAT(pages, ElementsAre(8, 2, 1));
}

}  // namespace
}  // namespace memwhy::explain
