// SPDX-License-Identifier: Apache-2.0
// BlockHeap over a reader that a test scripts: what a search and a reading ask of the process, and what is told of one that is
// cut. And the spans of mappings that all readers ask for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators {
namespace {

using test::MadeProcess;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kHeap = 0x7f12'4000'0000;

struct Script {
  bool here = false;
  uint64_t search_keeps = 0;  // bytes
  int searches = 0;
  std::vector<Block> blocks = {{{kHeap + kPageBytes, kHeap + 2 * kPageBytes}, BlockUse::kFree, true},
                               {{kHeap, kHeap + kPageBytes}, BlockUse::kObjects, false, 100}};
};

class ScriptedReader final : public BlockReader {
 public:
  explicit ScriptedReader(Script& script) : script_(script) {}
  const char* name() const override { return "toy"; }
  const char* title() const override { return "toy"; }
  bool find(HeapMemory& memory) override {
    ++script_.searches;
    return memory.keep(script_.search_keeps) && script_.here;
  }
  Result<BlockTables> read(HeapMemory& /*memory*/) override {
    BlockTables out;
    out.blocks = script_.blocks;
    return out;
  }

 private:
  Script& script_;
};

struct BlockHeapTest : testing::Test {
  BlockHeapTest() {
    made.map({kHeap, kHeap + 0x10'0000}, "");
    made.memory.put_word(kHeap, 1);
    made.memory.put_word(kHeap + kPageBytes, 1);
  }
  BlockHeap open() {
    return {std::make_unique<ScriptedReader>(script),
            std::make_unique<test::Borrowed>(made.memory),
            [this] {
              ++mappings_read;
              return Result<std::vector<events::Vma>>(made.vmas);
            },
            {}};
  }
  MadeProcess made;
  Script script;
  int mappings_read = 0;
};

TEST_F(BlockHeapTest, ASearchThatItsBudgetEndsIsNoAbsence) {
  script.search_keeps = uint64_t{1} << 40;
  BlockHeap heap = open();
  EXPECT_FALSE(heap.read(made.scan()).heap);
  EXPECT_THAT(
      heap.take_notices(),
      ElementsAre("Whether it has toy was not found out: the search takes more memory than one may."));
  heap.read(made.scan());
  EXPECT_EQ(script.searches, 2);
  EXPECT_THAT(heap.take_notices(), IsEmpty()) << "once";
}

TEST_F(BlockHeapTest, ASearchThatEndsByItselfTellsNothing) {
  BlockHeap heap = open();
  EXPECT_FALSE(heap.read(made.scan()).heap);
  EXPECT_THAT(heap.take_notices(), IsEmpty());
}

TEST_F(BlockHeapTest, MappingsAreReadOnceWhereTheyAreNeeded) {
  BlockHeap heap = open();
  for (int i = 0; i < 7; ++i) heap.read(made.scan());
  EXPECT_EQ(script.searches, 3) << "with passes 1, 2 and 4";
  EXPECT_EQ(mappings_read, 3);
  script.here = true;
  EXPECT_TRUE(heap.read(made.scan()).heap);
  EXPECT_EQ(mappings_read, 4) << "the search and the reading see the same";
  EXPECT_TRUE(heap.read(made.scan()).heap);
  EXPECT_EQ(mappings_read, 5);
}

TEST_F(BlockHeapTest, BlocksComeInAnyOrder) {
  script.here = true;
  BlockHeap heap = open();
  for (int i = 0; i < 2; ++i) {
    const BlockReading reading = heap.read(made.scan());
    ASSERT_EQ(reading.pages.runs.size(), 2u);
    EXPECT_EQ(reading.heap->used_bytes, 100u);
    EXPECT_EQ(reading.heap->trimmable_bytes, kPageBytes);
  }
}

// Tables lie, or are older than the mappings. Parts of one block may have other permissions than the rest.
TEST_F(BlockHeapTest, ABlockIsWhereMemoryIsMapped) {
  constexpr uint64_t kEnd = kHeap + 0x10'0000, kCode = kEnd, kGuard = kCode + kPageBytes;
  made.map({kCode, kGuard}, "");
  made.map({kGuard, kGuard + kPageBytes}, "");
  for (events::Vma& vma : made.vmas)
    if (vma.range.start >= kCode) vma.write = false, vma.read = vma.exec = vma.range.start == kCode;
  made.map({kGuard + kPageBytes, kGuard + 2 * kPageBytes}, "/usr/lib/libc.so.6", 5);
  made.vmas.back().write = false;
  script.here = true;
  const AddressRange whole{kEnd - kPageBytes, kGuard + kPageBytes};
  script.blocks = {{whole, BlockUse::kCode},
                   {{kHeap - kPageBytes, kHeap + kPageBytes}, BlockUse::kUnread},
                   {{kGuard, kGuard + 2 * kPageBytes}, BlockUse::kUnread},
                   {{kHeap + (uint64_t{1} << 40), kHeap + (uint64_t{1} << 41)}, BlockUse::kUnread}};
  BlockHeap heap = open();
  const BlockReading reading = heap.read(made.scan());
  ASSERT_EQ(reading.pages.runs.size(), 1u);
  EXPECT_EQ(reading.pages.runs[0].page, whole.start >> kPageShift);
  EXPECT_EQ(reading.pages.runs[0].count, 3u);
}

TEST(HeapMemory, MappingsOfOneNameThatAdjoinAreOneSpan) {
  MadeProcess made;
  made.map({0x10000, 0x20000}, "");
  made.map({0x20000, 0x30000}, "");
  made.map({0x30000, 0x40000}, "[heap]");
  made.map({0x50000, 0x60000}, "");
  made.map({0x60000, 0x70000}, "/file", 5);
  made.map({0x70000, 0x80000}, "");
  HeapMemory memory(made.memory, [&made] { return made.vmas; }, {});
  ASSERT_TRUE(memory.refresh());
  const auto span = [&](uint64_t at) { return memory.span(at); };
  EXPECT_EQ(span(0x10000), (AddressRange{0x10000, 0x30000}));
  EXPECT_EQ(span(0x2ffff), (AddressRange{0x10000, 0x30000}));
  EXPECT_EQ(span(0x30000), (AddressRange{0x30000, 0x40000})) << "of another name";
  EXPECT_EQ(span(0x5ffff), (AddressRange{0x50000, 0x60000}));
  EXPECT_EQ(span(0x70000), (AddressRange{0x70000, 0x80000}));
  for (const uint64_t none : {0x0ul, 0xfffful, 0x40000ul, 0x60000ul, 0x80000ul})
    EXPECT_TRUE(span(none).empty()) << none;
}

}  // namespace
}  // namespace memwhy::allocators
