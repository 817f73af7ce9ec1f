// SPDX-License-Identifier: Apache-2.0
// jemalloc's extents and tcmalloc's spans in made-up memory: found by their tree, read to the byte, and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "allocators/jemalloc.h"
#include "allocators/tcmalloc.h"
#include "unit/allocators/made_radix.h"

namespace memwhy::allocators {
namespace {

using namespace test::radix;

TEST(Jemalloc, IsReadToTheByteInBothLayouts) {
  for (const Bits& bits : {k53, k52}) {
    MadeJemalloc made(bits);
    made.usual();
    const events::AllocatorHeap heap = made.read_with(Jemalloc());
    EXPECT_EQ(heap.used_bytes, kUsualUsed);
    EXPECT_EQ(heap.trimmable_bytes, 110 * kPageBytes) << "dirty and muzzy";
    EXPECT_EQ(heap.top_bytes, 20 * kPageBytes) << "retained";
    EXPECT_EQ(heap.pinned_bytes, 8 * kSlab + 6 * kPageBytes - kUsualUsed);
    EXPECT_EQ(heap.problem, "");
  }
}

TEST(Jemalloc, FilesThatCannotHaveItAreNotSearched) {
  MadeJemalloc made(k53);
  made.usual();
  std::vector<std::string> asked;
  const auto only = [&](const char* name) {
    return [&asked, name](const std::vector<events::Vma>&, const events::Vma& data) {
      asked.push_back(data.name);
      return data.name == name;
    };
  };
  EXPECT_EQ(made.read_with(Jemalloc(only("/usr/lib/liballocator.so"))).used_bytes, kUsualUsed);
  EXPECT_EQ(asked, std::vector<std::string>{"/usr/lib/liballocator.so"});
  BlockHeap heap = made.open(std::make_unique<Jemalloc>(only("/usr/lib/libother.so")));
  EXPECT_FALSE(heap.read(made.scan()).heap.has_value());
}

TEST(Jemalloc, OnlyWhatIsResidentWouldComeBack) {
  MadeJemalloc made(k53);
  made.usual();
  const uint64_t dirty = made.extent(4 * kPageBytes, 1, false, 0, 0);
  made.memory.drop(dirty >> kPageShift);
  EXPECT_EQ(made.read_with(Jemalloc()).trimmable_bytes, 113 * kPageBytes);
}

TEST(Jemalloc, AWordThatOutlivedItsExtentDoesNotCount) {
  MadeJemalloc made(k53);
  made.usual();
  made.enter(kHeap + 0x200'0000, kPageBytes, kDescriptors, 0);  // the first extent, elsewhere
  EXPECT_EQ(made.read_with(Jemalloc()).used_bytes, kUsualUsed);
}

TEST(Jemalloc, AnExtentThatLostItsFirstPageIsKnownByItsLast) {
  MadeJemalloc made(k53);
  made.usual();
  const uint64_t at = made.extent(5 * kPageBytes, 0, false, 36, 0);  // 16 KiB
  // Its words stand, and it begins a page later.
  made.memory.put_words(kDescriptors + 128 * (made.descriptors - 1) + 8, {at + kPageBytes, 4 * kPageBytes});
  const events::AllocatorHeap heap = made.read_with(Jemalloc());
  EXPECT_EQ(heap.used_bytes + heap.pinned_bytes, 8 * kSlab + 6 * kPageBytes + 4 * kPageBytes);
}

TEST(Jemalloc, IsFoundAboveMuchOtherMemory) {
  MadeJemalloc made(k53);
  made.usual();
  made.map({0x7e00'0000'0000, 0x7e40'0000'0000}, "");  // 256 slots of the root stand for it
  EXPECT_EQ(made.read_with(Jemalloc()).used_bytes, kUsualUsed);
}

TEST(Jemalloc, IsFoundBesideVariablesThatAreFullOfPointers) {
  MadeJemalloc made(k53);
  made.usual();
  constexpr uint64_t kOther = 0x7ef0'0000'0000;
  made.map({kOther, kOther + 0x40'0000}, "/usr/lib/libother.so", 6);
  for (uint64_t i = 0; i < 10'000; ++i) made.memory.put_word(kOther + 0x10'0000 + 8 * i, kLeaf + 64 * i);
  BlockHeap heap = made.open(std::make_unique<Jemalloc>());
  const BlockReading reading = heap.read(made.scan());
  ASSERT_TRUE(reading.heap.has_value());
  EXPECT_EQ(reading.heap->used_bytes, kUsualUsed);
  EXPECT_TRUE(heap.take_notices().empty());
}

TEST(Jemalloc, IsFoundWhereMostOfALeafIsStale) {
  MadeJemalloc made(k53);
  made.extent(1000 * kPageBytes, 1, false, 0, 0);
  for (uint64_t page = 0; page < 1000; ++page)  // ends of extents that were merged
    made.enter(kHeap + page * kPageBytes, kPageBytes, kDescriptors + 128 * (1000 + page % 100), 0);
  made.enter(kHeap, kPageBytes, kDescriptors, 0);
  made.touch(kDescriptors + 128 * 1000, 128 * 100);
  for (int i = 0; i < 80; ++i) made.extent(5 * kPageBytes, 0, true, 9, 3);
  EXPECT_EQ(made.read_with(Jemalloc()).used_bytes, 80 * 125 * 160u);
}

TEST(Jemalloc, WordsThatWouldCoverEverythingAreNone) {
  MadeJemalloc made(k53);
  for (uint64_t i = 0; i < 100; ++i)
    made.enter(kHeap + i * kPageBytes, kPageBytes,
               made.descriptor({0, 0x0000'0101'0101'0000, 0x0000'7f01'0101'0101}), 0);
  EXPECT_FALSE(made.finds(Jemalloc()));
}

TEST(Jemalloc, WithoutItsTreeItIsNotThere) {
  MadeJemalloc made(k53);
  made.usual();
  made.memory.put_word(kRoot + 8 * (kHeap >> 30), 0);
  EXPECT_FALSE(made.finds(Jemalloc()));
}

TEST(Tcmalloc, IsReadToTheByte) {
  MadeTcmalloc made;
  made.usual();
  const events::AllocatorHeap heap = made.read_with(Tcmalloc());
  EXPECT_EQ(heap.used_bytes, 8 * 1600 + (40 << 13));
  EXPECT_EQ(heap.trimmable_bytes, 100 << 13);
  EXPECT_EQ(heap.top_bytes, 30 << 13);
  EXPECT_EQ(heap.pinned_bytes, 8 * (8192 - 1600));
}

TEST(Tcmalloc, WithoutItsSizesSpansCountAsUsed) {
  MadeTcmalloc made(false);
  made.usual();
  const events::AllocatorHeap heap = made.read_with(Tcmalloc());
  EXPECT_EQ(heap.unknown_bytes, 8 * 8192);
  EXPECT_EQ(heap.pinned_bytes, 0u);
  EXPECT_NE(heap.problem, "");
}

TEST(Tcmalloc, IsNoJemalloc) {
  MadeTcmalloc made;
  made.usual();
  EXPECT_FALSE(made.finds(Jemalloc()));
  MadeJemalloc other(k53);
  other.usual();
  EXPECT_FALSE(other.finds(Tcmalloc()));
}

// Whatever stands there: it ends, and what is told is not more than what is resident.
template <typename Reader, typename Made>
void damaged(Made make) {
  std::mt19937_64 random(11);
  for (int run = 0; run < 100; ++run) {
    auto made = make();
    made.usual();
    for (int damage = 0; damage < 20; ++damage) {
      const uint64_t page = (made.next - kHeap) >> made.shift;
      const uint64_t leaf_word =
          kLeaf + 8 * (((kHeap >> made.shift) + random() % page) & ((1 << kLeafBits) - 1));
      const uint64_t place =
          random() % 2 == 0 ? leaf_word : kDescriptors + random() % made.descriptors * 128 + random() % 8 * 8;
      made.memory.put_word(place, random() % 3 == 0 ? random() : kDescriptors + random() % 4096);
    }
    const events::AllocatorHeap heap = made.read_with(Reader());
    EXPECT_LE(heap.used_bytes + heap.pinned_bytes + heap.trimmable_bytes + heap.top_bytes,
              made.resident_bytes());
  }
}

TEST(Jemalloc, DamagedTablesEnd) {
  damaged<Jemalloc>([] { return MadeJemalloc(k53); });
}
TEST(Tcmalloc, DamagedTablesEnd) {
  damaged<Tcmalloc>([] { return MadeTcmalloc(); });
}

}  // namespace
}  // namespace memwhy::allocators
