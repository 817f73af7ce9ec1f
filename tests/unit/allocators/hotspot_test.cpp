// SPDX-License-Identifier: Apache-2.0
// A JVM in made-up memory: its tables found without symbols, each collector's heap read to the byte, and tables that lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "allocators/hotspot.h"
#include "unit/allocators/made_jvm.h"

namespace memwhy::allocators {
namespace {

using namespace test::jvm;
using ::testing::HasSubstr;

TEST(Hotspot, RegionsOfG1AreReadToTheByte) {
  const MadeG1::Names java11{.space = "Space", .top = "G1ContiguousSpace"},
      java25{"G1HeapRegion", "G1HeapRegionManager", "G1HeapRegion", "G1HeapRegion"};
  for (const MadeG1::Names& names : {java11, MadeG1::Names{}, java25}) {
    MadeG1 made(names);
    made.record(0, kRegion / 2 - 100);  // in the middle of a page
    const events::AllocatorHeap heap = made.heap();
    EXPECT_EQ(heap.collector, "G1");
    EXPECT_EQ(heap.arenas, 3u);
    EXPECT_EQ(heap.used_bytes, kRegion + kRegion / 2 - 100);
    EXPECT_EQ(heap.top_bytes + heap.pinned_bytes, kRegion + kRegion / 2 + 100);
    EXPECT_EQ(heap.collections, 5u);
    EXPECT_EQ(heap.collection_interval_ms, 60000u);
    EXPECT_TRUE(heap.pretouched);
  }
}

// Which collector it is, a flag says. The search may run out of time before it comes to them.
TEST(Hotspot, FlagsThatTheSearchDidNotReadAreReadLater) {
  MadeG1 made;
  const uint64_t count = kData + 0x10008, flags = made.flags + 1;
  made.memory.put_word(count, 0);
  auto heap = made.open(std::make_unique<Hotspot>(made.library()));
  const BlockReading first = heap.read(made.scan());
  ASSERT_TRUE(first.heap);
  EXPECT_EQ(first.heap->collector, "");
  made.memory.put_word(count, flags);
  EXPECT_EQ(heap.read(made.scan()).heap->collector, "G1");
}

TEST(Hotspot, WhatIsNotResidentIsNotFree) {
  MadeG1 made;
  for (uint64_t page = kJavaHeap + kRegion; page < kJavaHeap + 2 * kRegion; page += kPageBytes)
    made.memory.drop(page >> kPageShift);
  EXPECT_EQ(made.heap().top_bytes, kRegion / 2);
}

TEST(Hotspot, ARegionThatContradictsItselfIsLeftOut) {
  MadeG1 made;
  made.record(2, kRegion + 8);  // filled beyond its end
  const events::AllocatorHeap heap = made.heap();
  EXPECT_EQ(heap.used_bytes, kRegion / 2);
  EXPECT_THAT(heap.problem, HasSubstr("some regions"));
}

TEST(Hotspot, WhatNoProcessHasIsNoHeap) {
  // Beyond all addresses, and larger than any heap.
  const uint64_t region = uint64_t{1} << 32, last = ~uint64_t{0} / region * region;
  for (const uint64_t bottom : {uint64_t{1} << 56, last - region}) {
    MadeG1 made;
    made.memory.put_word(kData + 0x10018, region);
    for (uint64_t i = 0; i < 3; ++i)
      made.memory.put_words(MadeG1::kRecords + 0x100 * i, {bottom, bottom + region, bottom + region});
    const events::AllocatorHeap heap = made.heap();
    EXPECT_EQ(heap.arenas, 0u);
    EXPECT_THAT(heap.problem, HasSubstr("some regions"));
  }
  MadeJvm made;
  made.offset("EpsilonHeap", "_space", 128);
  made.offset("ContiguousSpace", "_bottom", 0);
  made.offset("ContiguousSpace", "_top", 8);
  made.offset("ContiguousSpace", "_end", 16);
  made.flag("UseG1GC", 0);
  made.flag("UseEpsilonGC", 1);
  made.memory.put_word(MadeJvm::kHeapObject + 128, kObjects + 0x4000);
  made.map({kJavaHeap, kJavaHeap + kRegion}, "");
  made.resident({kJavaHeap, kJavaHeap + kRegion});
  made.memory.put_words(kObjects + 0x4000, {kJavaHeap, kJavaHeap + kPageBytes, kJavaHeap + kRegion});
  EXPECT_EQ(made.heap().used_bytes, kPageBytes);
  made.memory.put_word(kObjects + 0x4010, kJavaHeap + (uint64_t{1} << 44) + 8);
  const events::AllocatorHeap heap = made.heap();
  EXPECT_EQ(heap.used_bytes, 0u);
  EXPECT_THAT(heap.problem, HasSubstr("a space of the Java heap"));
}

TEST(Hotspot, ATableThatLiesAboutItsLengthIsRefused) {
  for (const uint64_t length : {uint64_t{0}, uint64_t{1} << 40, ~uint64_t{0}}) {
    MadeG1 made;
    made.memory.put_word(MadeG1::kHeapObject + 0x120 + 24, length);
    const events::AllocatorHeap heap = made.heap();
    EXPECT_EQ(heap.used_bytes, 0u);
    EXPECT_THAT(heap.problem, HasSubstr("regions of the Java heap"));
  }
}

TEST(Hotspot, AVmThatStartsHasNoHeapYet) {
  MadeG1 made;
  made.memory.put_word(kData + 0x10010, 0);
  EXPECT_FALSE(made.reading().heap.has_value());
}

TEST(Hotspot, NamesThatCannotBeReadAreNoTables) {
  MadeG1 made;
  const FileBytes none = [](const events::Vma&, uint64_t, size_t) { return std::vector<std::byte>{}; };
  EXPECT_FALSE(made.open(std::make_unique<Hotspot>(none)).read(made.scan()).heap.has_value());
}

TEST(Hotspot, SpacesOfSerialAndParallel) {
  for (const MadeSpaces::Names& names :
       {MadeSpaces::kSerial, MadeSpaces::kParallel, MadeSpaces::kParallel11}) {
    MadeSpaces made(names);
    const events::AllocatorHeap heap = made.heap();
    EXPECT_EQ(heap.collector, names.collector);
    EXPECT_EQ(heap.used_bytes, 41 * kPageBytes);
    EXPECT_EQ(heap.top_bytes, (4 * 64 - 41) * kPageBytes);
  }
}

// Mapped in three views of the same file, each page of which is resident in each.
TEST(Hotspot, WhereZKeepsItsHeapIsKnown) {
  MadeJvm made;
  made.flag("UseG1GC", 0);
  made.flag("UseZGC", 1);
  for (uint64_t view = 0; view < 3; ++view) {
    const uint64_t start = kJavaHeap + (view << 32);
    made.map({start, start + 64 * kPageBytes}, "/memfd:java_heap (deleted)");
    for (events::Vma& vma : made.vmas) vma.shared = vma.shared || vma.range.start == start;
    made.resident({start, start + 40 * kPageBytes});
  }
  const BlockReading read = made.reading();
  ASSERT_TRUE(read.heap);
  const events::AllocatorHeap& heap = *read.heap;
  EXPECT_EQ(made.resident_of(read, "unread"), 3 * 40 * kPageBytes);
  EXPECT_EQ(heap.collector, "ZGC");
  EXPECT_THAT(heap.problem, HasSubstr("of ZGC is in use is not read; it is mapped in several views"));
  EXPECT_EQ(heap.used_bytes, 0u);
}

TEST(Hotspot, CodeAndClassesHaveUsesOfTheirOwn) {
  MadeG1 made;
  made.variable("CodeCache", "_heaps", kObjects + 0x20000);
  made.offset("GrowableArrayBase", "_len", 0);
  made.offset("GrowableArray<int>", "_data", 8);
  made.offset("CodeHeap", "_memory", 8);
  made.offset("CodeHeap", "_segmap", 72);
  made.offset("VirtualSpace", "_low", 16);
  made.offset("VirtualSpace", "_high", 24);
  made.memory.put_words(kObjects + 0x20000, {1, kObjects + 0x20100});
  made.memory.put_word(kObjects + 0x20100, kObjects + 0x20200);
  made.memory.put_words(kObjects + 0x20200 + 8 + 16, {kCode, kCode + 16 * kPageBytes});
  made.memory.put_words(kObjects + 0x20200 + 72 + 16, {kCode + 0x100000, kCode + 0x101000});
  made.map({kCode, kCode + 0x200000}, "");
  made.resident({kCode, kCode + 20 * kPageBytes});
  made.resident({kCode + 0x100000, kCode + 0x101000});

  make_classes_known(made);
  made.memory.put_words(kObjects + 0x30000, {0, kObjects + 0x31000, kClasses + 0x100});
  made.memory.put_words(kClasses + 0x100, {0, kClasses + 0x100, kConstants + 0x40,
                                           kObjects + 0x30000});  // a list that is a circle
  made.memory.put_word(kConstants + 0x40 + 8, kClasses + 0x100);
  // A class of arrays: what looks like its constants belongs to another.
  made.memory.put_words(kObjects + 0x31000, {0, 0, kClasses + 0x300});
  made.memory.put_words(kClasses + 0x300, {0, 0, kOther + 0x40, kObjects + 0x31000});
  made.map({kOther, kOther + kPageBytes}, "");
  made.resident({kOther, kOther + kPageBytes});
  made.map({kClasses, kClasses + 8 * kPageBytes}, "");
  made.map({kConstants, kConstants + 8 * kPageBytes}, "");
  made.resident({kClasses + kPageBytes, kClasses + 3 * kPageBytes});
  made.resident({kConstants, kConstants + 4 * kPageBytes});

  const BlockReading read = made.reading();
  EXPECT_EQ(made.resident_of(read, "code"), 17 * kPageBytes) << "what is beyond a committed range is none";
  EXPECT_EQ(made.resident_of(read, "classes"), 7 * kPageBytes);
  EXPECT_THAT(read.heap->problem, HasSubstr("more classes"));
}

// A class that was unloaded: its part of metaspace is one until all classes are walked anew.
TEST(Hotspot, WhatIsNoMetaspaceAnyMoreIsForgotten) {
  MadeG1 made;
  make_classes_known(made);
  for (const uint64_t klass : {kClasses, kOther}) {
    made.map({klass, klass + kPageBytes}, "");
    made.memory.put_words(klass, {0, 0, 0, kObjects + 0x30000});
  }
  made.memory.put_word(kClasses + 8, kOther);  // the newest, and one before it
  made.memory.put_words(kObjects + 0x30000, {0, 0, kClasses});

  test::Borrowed memory(made.memory);
  HeapMemory heap(memory, [&made] { return made.vmas; }, {});
  ASSERT_TRUE(heap.refresh());
  Hotspot reader(made.library());
  ASSERT_TRUE(reader.find(heap));
  const auto parts = [&] {
    heap.forget();
    const Result<BlockTables> tables = reader.read(heap);
    return tables ? std::count_if(tables->blocks.begin(), tables->blocks.end(),
                                  [](const Block& block) { return block.use == BlockUse::kClasses; })
                  : -1;
  };
  EXPECT_EQ(parts(), 2);
  made.memory.put_word(kClasses + 8, 0);
  for (int reading = 2; reading <= 16; ++reading) EXPECT_EQ(parts(), 2) << reading;
  EXPECT_EQ(parts(), 1);
}

TEST(Hotspot, NoisyTablesDoNotHurt) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    MadeG1 made;
    for (int i = 0; i < 8; ++i) {
      const std::array<uint64_t, 4> places = {kData + 0x100 + 8 * (random() % (6 * made.entries)),
                                              MadeG1::kTable + 8 * (random() % 4),
                                              MadeG1::kRecords + 0x100 * (random() % 3) + 8 * (random() % 3),
                                              kData + 0x10000 + 8 * (random() % 8)};
      made.memory.put_word(places[random() % 4], random() % 3 == 0 ? random() : kText + random() % 0x200000);
    }
    const events::AllocatorHeap heap = made.heap();
    EXPECT_LE(heap.used_bytes + heap.top_bytes + heap.pinned_bytes, made.resident_bytes());
  }
}

}  // namespace
}  // namespace memwhy::allocators
