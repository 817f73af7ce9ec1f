// SPDX-License-Identifier: Apache-2.0
// A budget ends a reading by whichever of its limits comes first, stays at its end, and says which it was.
#include "remote/budget.h"

#include <gtest/gtest.h>

#include <array>

#include "remote/page_reader.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::remote::test {
namespace {

using Spent = Budget::Spent;

uint64_t cpu_ns = 0, time_ns = 0;
BudgetClocks test_clocks() {
  return {[] { return cpu_ns; }, [] { return time_ns; }};
}

TEST(Budget, each_limit_ends_it) {
  Budget steps({.steps = 3});
  EXPECT_TRUE(steps.step(3));
  EXPECT_FALSE(steps.step());
  EXPECT_EQ(steps.spent(), Spent::kSteps);
  EXPECT_EQ(steps.steps(), 3u);

  Budget read({.read_bytes = 100});
  EXPECT_TRUE(read.read(100));
  EXPECT_FALSE(read.read(1));
  EXPECT_EQ(read.spent_name(), "bytes read");

  Budget kept({.kept_bytes = 100});
  EXPECT_TRUE(kept.keep(60));
  kept.release(30);
  EXPECT_TRUE(kept.keep(70));
  EXPECT_FALSE(kept.keep(kNoLimit)) << "a sum that wraps";
  EXPECT_EQ(kept.spent(), Spent::kKeptBytes);
  EXPECT_FALSE(kept.step()) << "the end of one is the end of all";
  EXPECT_FALSE(kept.keep(0));
}

TEST(Budget, clocks_are_looked_at_every_few_steps) {
  for (const bool of_cpu : {true, false}) {
    cpu_ns = time_ns = 1000;
    Budget budget(of_cpu ? Limits{.cpu_ns = 50} : Limits{.time_ns = 50}, test_clocks());
    EXPECT_TRUE(budget.step());
    (of_cpu ? cpu_ns : time_ns) += 50;
    int more = 0;
    while (more < 1000 && budget.step()) ++more;
    EXPECT_LT(more, 100);
    EXPECT_EQ(budget.spent(), of_cpu ? Spent::kCpu : Spent::kTime);
  }
}

TEST(Budget, whoever_needs_the_time_ends_it) {
  bool stop = false;
  Budget budget(Limits{}, [&stop] { return stop; });
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(budget.step());
  stop = true;
  int more = 0;
  while (more < 1000 && budget.step()) ++more;
  EXPECT_LT(more, 100);
  EXPECT_EQ(budget.spent(), Spent::kStopped);
  EXPECT_EQ(budget.spent_name(), "time");
}

TEST(MeteredMemory, what_is_not_paid_for_is_not_read) {
  FakeMemory memory;
  memory.put_words(kPageBytes, {1, 2, 3});
  Budget budget({.read_bytes = 16});
  MeteredMemory metered(memory, budget);
  EXPECT_EQ(*read_value<uint64_t>(metered, kPageBytes), 1u);
  EXPECT_EQ(*read_value<uint64_t>(metered, kPageBytes + 8), 2u);
  const uint64_t reads = memory.reads();
  EXPECT_EQ(read_value<uint64_t>(metered, kPageBytes + 16).error().code(), ErrorCode::kLimit);
  std::array<std::byte, 8> bytes;
  EXPECT_FALSE(metered.read_present(kPageBytes, bytes).ok());
  EXPECT_FALSE(metered.read_touched(kPageBytes, bytes).ok());
  EXPECT_EQ(memory.reads(), reads);
}

TEST(MeteredMemory, an_array_is_kept_only_as_far_as_the_budget_goes) {
  FakeMemory memory;
  memory.put(0x100000, std::vector<std::byte>(2 << 20));
  Budget budget({.kept_bytes = 1 << 20});
  MeteredMemory metered(memory, budget);
  EXPECT_TRUE(read_array<uint64_t>(metered, 0x100000, 1 << 16).ok());
  EXPECT_FALSE(read_array<uint64_t>(metered, 0x100000, 1 << 17).ok());
}

TEST(PageReader, neighbours_are_one_read_and_what_is_dropped_is_no_longer_kept) {
  FakeMemory memory;
  for (const uint64_t page : {16, 17, 18, 30}) memory.put_word(page * kPageBytes + 8, page);
  Budget budget({.kept_bytes = 4 * kPageBytes});
  MeteredMemory metered(memory, budget);
  PageReader reader(metered);
  std::vector<uint64_t> pages;
  PageReader::add(pages, 16 * kPageBytes + 4000, 2 * kPageBytes);
  PageReader::add(pages, 30 * kPageBytes, 8);
  PageReader::add(pages, 17 * kPageBytes, 8);
  for (int round = 0; round < 3; ++round) {
    const uint64_t before = memory.reads();
    reader.prefetch(pages);
    EXPECT_EQ(memory.reads() - before, 2u);
    for (const uint64_t page : {16, 17, 18, 30}) {
      uint64_t value = 0;
      EXPECT_TRUE(reader.copy(page * kPageBytes + 8, std::as_writable_bytes(std::span(&value, 1))));
      EXPECT_EQ(value, page);
    }
    uint64_t absent = 7;
    EXPECT_FALSE(reader.copy(40 * kPageBytes, std::as_writable_bytes(std::span(&absent, 1))));
    EXPECT_EQ(absent, 0u);
    EXPECT_EQ(budget.kept_bytes(), 4 * kPageBytes);
    reader.clear();
    EXPECT_EQ(budget.kept_bytes(), 0u);
  }
}

// One that is absent among them does not take the others with it; what can't be kept is absent.
TEST(PageReader, absent_pages_are_told) {
  FakeMemory memory;
  for (const uint64_t page : {16, 18}) memory.put_word(page * kPageBytes, page);
  PageReader reader(memory);
  reader.prefetch({16, 17, 18});
  std::array<std::byte, 8> bytes;
  EXPECT_TRUE(reader.copy(16 * kPageBytes, bytes));
  EXPECT_FALSE(reader.copy(17 * kPageBytes, bytes));
  EXPECT_TRUE(reader.copy(18 * kPageBytes, bytes));
  EXPECT_FALSE(reader.copy(17 * kPageBytes - 4, bytes));
  Budget budget({.kept_bytes = kPageBytes});
  MeteredMemory metered(memory, budget);
  PageReader poor(metered);
  poor.prefetch({16, 18});
  EXPECT_TRUE(poor.copy(16 * kPageBytes, bytes));
  EXPECT_FALSE(poor.copy(18 * kPageBytes, bytes));
}

}  // namespace
}  // namespace memwhy::remote::test
