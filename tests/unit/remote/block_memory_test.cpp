// SPDX-License-Identifier: Apache-2.0
#include "remote/block_memory.h"

#include <gtest/gtest.h>

#include "remote/budget.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::remote {
namespace {

constexpr uint64_t kBase = 0x7f1234600000, kBlock = 64 << 10;

// 256 KiB whose words are their own addresses.
test::FakeMemory words() {
  test::FakeMemory memory;
  for (uint64_t at = kBase; at < kBase + 4 * kBlock; at += 8) memory.put_word(at, at);
  return memory;
}

TEST(BlockMemory, ManyReadsOfNeighboursAreFewReadsOfTheTarget) {
  test::FakeMemory memory = words();
  BlockMemory blocks(memory);
  for (uint64_t at = kBase + 4 * kBlock; at > kBase;) {
    at -= 8;
    Result<uint64_t> value = read_value<uint64_t>(blocks, at);
    ASSERT_TRUE(value.ok());
    ASSERT_EQ(*value, at);
  }
  EXPECT_EQ(memory.reads(), 4u);
}

TEST(BlockMemory, AReadMayCrossBlocks) {
  test::FakeMemory memory = words();
  BlockMemory blocks(memory);
  Result<std::vector<uint64_t>> values = read_array<uint64_t>(blocks, kBase + kBlock - 64, 16);
  ASSERT_TRUE(values.ok());
  for (uint64_t i = 0; i < 16; ++i) EXPECT_EQ((*values)[i], kBase + kBlock - 64 + 8 * i);
}

TEST(BlockMemory, AnAbsentPageHidesNothingBesideIt) {
  test::FakeMemory memory = words();
  memory.drop((kBase + kBlock) / kPageBytes);
  BlockMemory blocks(memory);
  EXPECT_EQ(*read_value<uint64_t>(blocks, kBase + kBlock + kPageBytes), kBase + kBlock + kPageBytes);
  EXPECT_FALSE(read_value<uint64_t>(blocks, kBase + kBlock).ok());
}

// What stands in one slot after the other: the block that was read last is the one that is told.
TEST(BlockMemory, BlocksOfOneSlotAreNotTakenForEachOther) {
  test::FakeMemory memory;
  const uint64_t other = kBase + 64 * kBlock;
  for (uint64_t at = 0; at < kBlock; at += 8)
    memory.put_words(kBase + at, {1}), memory.put_words(other + at, {2});
  BlockMemory blocks(memory);
  EXPECT_EQ(*read_value<uint64_t>(blocks, kBase), 1u);
  EXPECT_EQ(*read_value<uint64_t>(blocks, other), 2u);
  EXPECT_EQ(*read_value<uint64_t>(blocks, kBase), 1u);
}

TEST(BlockMemory, HasAnEndAndGivesBackWhatItKept) {
  test::FakeMemory memory = words();
  Budget budget({.steps = 1000, .kept_bytes = 2 * kBlock});
  MeteredMemory metered(memory, budget);
  {
    BlockMemory blocks(metered);
    for (uint64_t i = 0; i < 2000; ++i) static_cast<void>(read_value<uint64_t>(blocks, kBase));
    EXPECT_EQ(budget.spent(), Budget::Spent::kSteps);
    EXPECT_FALSE(read_value<uint64_t>(blocks, kBase).ok());
  }
  EXPECT_EQ(budget.kept_bytes(), 0u);
}

}  // namespace
}  // namespace memwhy::remote
