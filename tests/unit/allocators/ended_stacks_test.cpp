// SPDX-License-Identifier: Apache-2.0
// Stacks whose control block says that the thread has ended, among what only looks like one.
#include <gtest/gtest.h>

#include <algorithm>

#include "allocators/ended_stacks.h"
#include "allocators/glibc_layout.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::allocators::test {
namespace {

constexpr uint64_t kStackPages = 16;

class Stacks : public testing::Test {
 protected:
  // With a guard of a page below. Returns where the control block is.
  uint64_t stack(uint64_t start, bool guarded = true) {
    const uint64_t end = start + kStackPages * kPageBytes;
    events::Vma vma;
    if (guarded) {
      vma.range = {start - kPageBytes, start};
      vmas_.push_back(vma);
    }
    vma.range = {start, end};
    vma.read = vma.write = true;
    vmas_.push_back(vma);
    return end - 0x900;
  }
  void control_block(uint64_t at, uint32_t tid) {
    memory_.put_words(at, {at, 0, at});
    memory_.put(at + kTcbTid, std::as_bytes(std::span(&tid, 1)));
  }
  EndedStacks reader() {
    return {std::make_unique<remote::test::FakeMemory>(memory_),
            [this] { return Result<std::vector<events::Vma>>(vmas_); }};
  }
  std::vector<uint64_t> ended() {
    EndedStacks stacks = reader();
    return ended(stacks);
  }
  static std::vector<uint64_t> ended(EndedStacks& stacks) {
    events::PageScan scan;
    scan.scan = 3;
    const events::RuntimePages pages = stacks.read(scan);
    EXPECT_EQ(pages.scan, 3u);
    EXPECT_EQ(pages.trust, events::Trust::kVerified);
    std::vector<uint64_t> out;
    for (const events::RuntimeRun& run : pages.runs) {
      EXPECT_EQ(run.count, kStackPages);
      out.push_back(run.page << kPageShift);
    }
    return out;
  }

  remote::test::FakeMemory memory_;
  std::vector<events::Vma> vmas_;
};

TEST_F(Stacks, EndedIsWhatTheKernelHasClearedTheNumberOf) {
  control_block(stack(0x7f00'0001'0000), 0);
  control_block(stack(0x7f00'0011'0000), 4713);  // lives
  stack(0x7f00'0021'0000);                       // never touched, or swapped out
  EXPECT_EQ(ended(), std::vector<uint64_t>{0x7f00'0001'0000});
}

TEST_F(Stacks, NoStackWithoutAControlBlockAndAGuard) {
  const uint64_t other = stack(0x7f00'0001'0000);
  memory_.put_words(other, {other, 0, other + 16, 0});  // says of itself something else
  control_block(stack(0x7f00'0011'0000, false), 0);
  EXPECT_TRUE(ended().empty());
}

TEST_F(Stacks, MoreThanOneReadingTakes) {
  for (uint64_t i = 0; i < 200; ++i) control_block(stack(0x7f00'0001'0000 + i * 0x10'0000), 0);
  EXPECT_EQ(ended().size(), 200u);
}

TEST_F(Stacks, AReadingWithoutTimeSaysWhatTheLastWholeOneFound) {
  for (uint64_t i = 0; i < 2000; ++i) control_block(stack(0x7f00'0001'0000 + i * 0x10'0000), i % 2);
  bool no_time = false;
  EndedStacks stacks = reader();
  stacks.stop_when([&no_time] { return no_time; });
  EXPECT_EQ(ended(stacks).size(), 1000u);
  no_time = true;
  EXPECT_EQ(ended(stacks).size(), 1000u);
  EXPECT_TRUE(stacks.take_notices().empty());
  vmas_.resize(2 * 1990);  // the last ten are unmapped, half of which had ended
  EXPECT_EQ(ended(stacks).size(), 995u);

  EndedStacks late = reader();
  late.stop_when([] { return true; });
  EXPECT_LT(ended(late).size(), 995u);
  EXPECT_EQ(late.take_notices().size(), 1u);
}

}  // namespace
}  // namespace memwhy::allocators::test
