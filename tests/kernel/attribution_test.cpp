// SPDX-License-Identifier: Apache-2.0
// Does every page get the stack that touched it? On both ways to read a stack.
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "memwhy/abi/limits.h"
#include "memwhy/abi/table.h"
#include "support.h"

namespace memwhy::kernel_test {
namespace {

class Attribution : public testing::TestWithParam<mw_read_how> {
 protected:
  static probe::Options options() {
    probe::Options o;
    o.read_how = GetParam();
    return o;
  }
};

// What a kernel does not offer is the next simpler way, once more.
INSTANTIATE_TEST_SUITE_P(Read, Attribution, testing::Values(MW_READ_MEMORY, MW_READ_WORDS, MW_READ_BULK),
                         [](const auto& how) {
                           return how.param == MW_READ_MEMORY  ? "memory"
                                  : how.param == MW_READ_WORDS ? "words"
                                                               : "bulk";
                         });

TEST_P(Attribution, SaysHowItReads) {
  OPEN_PROBE(probe, options());
  const std::string how = probe.hooks().stack_read;
  std::printf("stack read: %s\n", how.c_str());
  EXPECT_TRUE(how == "bulk" || (how == "direct" && GetParam() != MW_READ_BULK)) << how;
}

// Many sites, two callers six frames up, the same stack pointer everywhere.
TEST_P(Attribution, IsExact) {
  constexpr size_t kPages = 4096;
  OPEN_PROBE(probe, options());
  Target target([](Report& report) {
    char* memory = fresh_pages(kPages);
    report.address = reinterpret_cast<uint64_t>(memory);
    touch_by_class(memory, kPages);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  ASSERT_TRUE(seen.read(space));

  std::map<StackId, std::set<size_t>> classes_of;
  std::map<size_t, std::set<StackId>> stacks_of;
  size_t unrecorded = 0, wrong_site = 0;
  for (size_t i = 0; i < kPages; ++i) {
    const Entry entry = seen.entry(space, target.report().address + i * kPage);
    const std::vector<uint64_t> frames = seen.frames(entry.stack);
    unrecorded += entry.stack == StackId::kNone;
    wrong_site += frames.empty() || !in_site(class_of(i) / kCallers, frames[0]);
    EXPECT_EQ(entry.flags, events::kFaultWrite);
    classes_of[entry.stack].insert(class_of(i));
    stacks_of[class_of(i)].insert(entry.stack);
  }
  EXPECT_EQ(unrecorded, 0u);
  EXPECT_EQ(wrong_site, 0u);
  EXPECT_EQ(stacks_of.size(), kClasses);
  for (const auto& [which, stacks] : stacks_of) EXPECT_EQ(stacks.size(), 1u) << "class " << which;
  for (const auto& [stack, classes] : classes_of)
    EXPECT_EQ(classes.size(), 1u) << "a stack is shared by classes";
  const events::Coverage coverage = probe.coverage();
  EXPECT_EQ(coverage.faults_seen, coverage.faults_recorded);
  EXPECT_GE(coverage.faults_recorded, kPages);
}

// The chain as the target itself walked it, frame by frame, up to the depth that is kept.
TEST_P(Attribution, KeepsWholeChains) {
  OPEN_PROBE(probe, options());
  for (const unsigned depth : {0u, 5u, 60u, 119u}) {
    Target target([depth](Report& report) {
      char* memory = fresh_pages(1);
      report.address = reinterpret_cast<uint64_t>(memory);
      touch_deep(depth, memory, report);
    });
    TRACE(space, probe, target.pid(), false);
    target.go();
    Observer seen(probe);
    seen.drain();
    seen.read(space);
    const Report& truth = target.report();
    std::vector<uint64_t> frames = seen.frames(seen.entry(space, truth.address).stack);
    ASSERT_FALSE(frames.empty()) << "depth " << depth;
    frames.erase(frames.begin());  // the instruction that touched
    std::vector<uint64_t> expected(truth.frame, truth.frame + truth.frames);
    if (expected.size() > MW_STACK_FRAMES - 1) expected.resize(MW_STACK_FRAMES - 1);
    EXPECT_GT(expected.size(), depth);
    EXPECT_EQ(frames, expected) << "depth " << depth;
    ASSERT_TRUE(probe.untrace(space));
  }
}

// Chains laid out by hand: frames that cross pages, and 2 MiB boundaries, and windows; chains that differ
// only in the outermost frame that is kept.
struct Layout {
  const char* name;
  size_t frames;
  size_t stride;  // bytes from frame to frame
  size_t start;   // offset of the first frame in a region that begins on a 2 MiB boundary
};

constexpr Layout kLayouts[] = {
    {"dense", 127, 16, 0},
    {"every page boundary is inside a frame", 127, 4096, 4088},
    {"a 2 MiB boundary inside a frame", 4, 64, (2u << 20) - 8 - 64},
    {"across 2 MiB boundaries", 127, 48 << 10, 8},
    {"just outside each window", 100, 2048 - 8, 24},
    {"deeper than is kept", 200, 32, 8},
    {"one frame", 1, 32, 16},
};

TEST_P(Attribution, ReadsEveryLayout) {
  OPEN_PROBE(probe, options());
  constexpr size_t kRegion = 8 << 20;
  const auto chain = [](char* region, const Layout& layout, uint64_t last) {
    uint64_t bp = 0;
    for (size_t i = layout.frames; i-- > 0;) {
      auto* frame = reinterpret_cast<uint64_t*>(region + layout.start + i * layout.stride);
      frame[0] = bp;
      frame[1] = i + 1 == layout.frames ? last : 0x400000 + 16 * i;
      bp = reinterpret_cast<uint64_t>(frame);
    }
    return bp;
  };
  Target target([&](Report& report) {
    char* region = fresh_pages(kRegion / kPage + 512);
    char* pages = fresh_pages(2 * std::size(kLayouts));
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < 2 * std::size(kLayouts); ++i) {
      const uint64_t bp = chain(region, kLayouts[i / 2], 0x500000 + i % 2);
      touch_with_stack(reinterpret_cast<uint64_t>(region), bp, pages + i * kPage);
    }
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  for (size_t i = 0; i < 2 * std::size(kLayouts); ++i) {
    const Layout& layout = kLayouts[i / 2];
    const Entry entry = seen.entry(space, target.report().address + i * kPage);
    const auto found = seen.stacks().find(entry.stack);
    ASSERT_NE(found, seen.stacks().end()) << layout.name;
    const events::Stack& stack = found->second;
    const size_t kept = std::min<size_t>(layout.frames, MW_STACK_FRAMES - 1);
    ASSERT_EQ(stack.frames.size(), kept + 1) << layout.name;
    for (size_t f = 0; f < kept; ++f)
      EXPECT_EQ(stack.frames[f + 1], f + 1 == layout.frames ? 0x500000 + i % 2 : 0x400000 + 16 * f)
          << layout.name << " frame " << f;
    EXPECT_EQ(stack.cut, layout.frames > kept) << layout.name;
    EXPECT_FALSE(stack.unreadable) << layout.name;
    const Entry before = i % 2 == 1 ? seen.entry(space, target.report().address + (i - 1) * kPage) : Entry{};
    EXPECT_EQ(entry.stack == before.stack, i % 2 == 1 && layout.frames > kept) << layout.name;
  }
}

TEST_P(Attribution, SaysThatAStackCannotBeRead) {
  OPEN_PROBE(probe, options());
  Target target([](Report& report) {
    char* region = fresh_pages(16);
    *reinterpret_cast<uint64_t*>(region + 64) =
        reinterpret_cast<uint64_t>(region + 8 * kPage);  // never touched
    *reinterpret_cast<uint64_t*>(region + 72) = 0x400000;
    char* page = fresh_pages(1);
    report.address = reinterpret_cast<uint64_t>(page);
    touch_with_stack(reinterpret_cast<uint64_t>(region), reinterpret_cast<uint64_t>(region + 64), page);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  const auto found = seen.stacks().find(seen.entry(space, target.report().address).stack);
  ASSERT_NE(found, seen.stacks().end());
  ASSERT_EQ(found->second.frames.size(), 2u);
  EXPECT_EQ(found->second.frames[1], 0x400000u);
  EXPECT_TRUE(found->second.unreadable);
  // More if the page of its code was taken away meanwhile: that faults on the same stack.
  EXPECT_GE(probe.coverage().stacks_unreadable, 1u);
}

// A deep chain on a stack of many pages that is mapped by huge pages, where the kernel gives them.
TEST_P(Attribution, ReadsHugeStacks) {
  OPEN_PROBE(probe, options());
  Target target([](Report& report) {
    constexpr size_t kHuge = size_t{2} << 20;
    char* region = fresh_pages(4 * kHuge / kPage);
    ::madvise(region, 4 * kHuge, MADV_HUGEPAGE);
    uint64_t bp = 0;
    for (size_t i = 100; i-- > 0;) {
      auto* frame = reinterpret_cast<uint64_t*>(region + 64 + i * 60000 / 8 * 8);
      frame[0] = bp;
      frame[1] = 0x400000 + i;
      bp = reinterpret_cast<uint64_t>(frame);
    }
    char* page = fresh_pages(1);
    report.address = reinterpret_cast<uint64_t>(page);
    touch_with_stack(reinterpret_cast<uint64_t>(region), bp, page);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  const std::vector<uint64_t> frames = seen.frames(seen.entry(space, target.report().address).stack);
  ASSERT_EQ(frames.size(), 101u);
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(frames[i + 1], 0x400000 + i);
}

TEST_P(Attribution, SeesTheKernelTouchPages) {
  constexpr size_t kPages = 256;
  OPEN_PROBE(probe, options());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Target target([&ends](Report& report) {
    static char filler[kPage];
    char* memory = fresh_pages(kPages);
    report.address = reinterpret_cast<uint64_t>(memory);
    for (size_t i = 0; i < kPages; ++i) {
      (void)!::write(ends[1], filler, kPage);
      raw_read(ends[0], memory + i * kPage, kPage);
    }
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  std::set<StackId> stacks;
  for (size_t i = 0; i < kPages; ++i) {
    const Entry entry = seen.entry(space, target.report().address + i * kPage);
    EXPECT_EQ(entry.flags, events::kFaultKernel | events::kFaultWrite) << "page " << i;
    stacks.insert(entry.stack);
  }
  ASSERT_EQ(stacks.size(), 1u);
  const std::vector<uint64_t> frames = seen.frames(*stacks.begin());
  ASSERT_GE(frames.size(), 2u);
  const auto call = reinterpret_cast<uint64_t>(&raw_read);
  EXPECT_TRUE(frames[0] > call && frames[0] < call + 64);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace memwhy::kernel_test
