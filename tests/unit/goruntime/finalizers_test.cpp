// SPDX-License-Identifier: Apache-2.0
// The queue of finalizers in a memory that is made up: found without a symbol, and no other number when something lies.
#include <gtest/gtest.h>

#include "goruntime/finalizers.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::goruntime::test {
namespace {

constexpr uint64_t kVariables = 0x50'0000, kHeap = 0xc0'0000'0000, kMheap = 0x7f00'0000'0000,
                   kBlocks = 0x7f00'1000'0010;
constexpr uint64_t kCode = 0x40'0000, kType = 0x48'0000;
constexpr uint64_t kEntriesOfBlock = 101;

// Two blocks of all three: one full, one with 7, one free. As in finalizers.h.
class Queue : public testing::Test {
 protected:
  Queue() {
    globals_.layout = layout_of(26);
    globals_.mheap = kMheap;
    globals_.image = {kCode, kVariables + 0x1000};
    globals_.data = {{kVariables, kVariables + 0x1000}};
    const uint64_t ranges = kMheap + 0x10000;
    memory_.put_words(kMheap + globals_.layout->mheap.pages_in_use.offset, {ranges, 1, 1});
    memory_.put_words(ranges, {kHeap, kHeap + (4 << 20)});
    block(0, 7, 1);
    block(1, kEntriesOfBlock, 2);
    block(2, 0, std::nullopt);
    memory_.put_word(kVariables + 0x100, address(1));  // finq
    memory_.put_word(kVariables + 0x200, address(0));  // allfin
    memory_.put_word(kVariables + 0x300, address(2));  // finc
    memory_.put_word(kVariables + 0x400, kHeap + 64);  // a pointer into the heap is none of them
  }

  static uint64_t address(uint64_t block) { return kBlocks + block * 4096; }
  static uint64_t object(uint64_t number) { return kHeap + number * 48; }

  void block(uint64_t number, uint64_t entries, std::optional<uint64_t> next) {
    for (uint64_t at = 0; at < 4096; at += 8) memory_.put_word(address(number) + at, 0);
    memory_.put_words(address(number), {next ? address(*next) : 0, 0, entries});
    for (uint64_t i = 0; i < entries; ++i)
      memory_.put_words(address(number) + 24 + 40 * i,
                        {kCode + 16, object(100 * number + i), 0, kType, kType});
  }
  std::optional<FinalizerQueue> read() { return read_finalizers(memory_, globals_); }

  remote::test::FakeMemory memory_;
  Globals globals_;
};

TEST_F(Queue, AllBlocksThatWait) {
  const std::optional<FinalizerQueue> queue = read();
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->waiting, 7 + kEntriesOfBlock);
  EXPECT_EQ(queue->objects.size(), 7 + kEntriesOfBlock);
  EXPECT_EQ(queue->objects.front(), object(0));
}

// Go 1.24: {closure, 0, 0, 0, 0}.
TEST_F(Queue, CleanupsByTheirClosures) {
  for (uint64_t i = 0; i < 7; ++i) memory_.put_words(address(0) + 24 + 40 * i, {object(500 + i), 0, 0, 0, 0});
  const std::optional<FinalizerQueue> queue = read();
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->objects.front(), object(500));
  memory_.put_word(address(0) + 24, kCode + 16);  // a closure outside of the heap keeps nothing
  memory_.put_word(kVariables + 0x100, 0);
  EXPECT_FALSE(read());
}

TEST_F(Queue, NothingWaits) {
  block(0, 0, 1);
  block(1, 0, 2);
  EXPECT_FALSE(read());
}

TEST_F(Queue, WhatLiesIsNotCounted) {
  // More entries than a block has.
  memory_.put_word(address(0) + 16, kEntriesOfBlock + 1);
  memory_.put_word(kVariables + 0x100, 0);
  EXPECT_FALSE(read());
  // An object outside of the heap.
  block(0, 7, 1);
  memory_.put_word(address(0) + 24 + 40 * 6 + 8, 0x7fff'0000'0000);
  EXPECT_FALSE(read());
}

TEST_F(Queue, ALoopEnds) {
  memory_.put_word(address(2), address(0));
  EXPECT_FALSE(read());
}

TEST_F(Queue, AnAbsentBlockIsNotGuessed) {
  block(0, 7, 1);
  memory_.put_word(kVariables + 0x100, 0);
  memory_.put_word(address(0), 0x7f00'9000'0000);
  EXPECT_FALSE(read());
}

}  // namespace
}  // namespace memwhy::goruntime::test
