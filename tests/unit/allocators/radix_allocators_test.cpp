// SPDX-License-Identifier: Apache-2.0
// jemalloc's extents and tcmalloc's spans in made-up memory: found by their tree, read to the byte, and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "allocators/jemalloc.h"
#include "allocators/radix_map.h"
#include "allocators/tcmalloc.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators {
namespace {

using test::MadeProcess;

constexpr uint64_t kRoot = 0x7f00'0000'0000 + 0x2340, kLeaf = 0x7f20'0000'0000,
                   kDescriptors = 0x7f20'0040'0000;
constexpr uint64_t kHeap = 0x7f12'4000'0000;

// A tree for memory from kHeap on.
struct MadeTree : MadeProcess {
  MadeTree(uint64_t page_shift, uint64_t root_bits) : shift(page_shift) {
    map({0x7f00'0000'0000, 0x7f00'0000'0000 + (uint64_t{8} << root_bits) + 0x8000},
        "/usr/lib/liballocator.so", 5);
    map({kLeaf, kLeaf + 0x80'0000}, "");
    map({kHeap, kHeap + 0x400'0000}, "");
    memory.put_word(kRoot + 8 * (kHeap >> (shift + kLeafBits)), kLeaf);
  }
  uint64_t descriptor(std::initializer_list<uint64_t> words) {
    const uint64_t at = kDescriptors + 128 * descriptors++;
    memory.put_words(at, words);
    return at;
  }
  // `tag`: what the leaf's word has beside the address.
  void enter(uint64_t address, uint64_t bytes, uint64_t descriptor_at, uint64_t tag) {
    for (uint64_t page = address >> shift; page << shift < address + bytes; ++page)
      memory.put_word(kLeaf + 8 * (page & ((uint64_t{1} << kLeafBits) - 1)), descriptor_at | tag);
  }
  void touch(uint64_t address, uint64_t bytes) {
    for (uint64_t at = address; at < address + bytes; at += kPageBytes) memory.put_word(at, 0);
  }
  uint64_t shift;
  uint64_t descriptors = 0, next = kHeap;
};

struct Bits {
  unsigned state, size_class, free;
};
constexpr Bits k53{17, 20, 28}, k52{16, 18, 26};

// Slabs with 3 free blocks each, two of each size, and 20 KiB. Free slabs keep their flag, as in a real one.
constexpr uint64_t kSlab = 105 * kPageBytes;
constexpr uint64_t kUsualUsed = 2 * (4 * kSlab - 3 * (160 + 192 + 224 + 256)) + (20 << 10);
struct MadeJemalloc : MadeTree {
  explicit MadeJemalloc(const Bits& of) : MadeTree(12, 18), bits(of) {}
  uint64_t extent(uint64_t bytes, uint64_t state, bool slab, uint64_t size_class, uint64_t free) {
    const uint64_t at = next;
    next += bytes;
    const uint64_t word =
        state << bits.state | uint64_t{slab} << 12 | size_class << bits.size_class | free << bits.free;
    enter(at, bytes, descriptor({word, at, bytes}), size_class << 48 | (slab ? 1 : 0));
    touch(at, bytes);
    return at;
  }
  void usual() {
    for (uint64_t i = 0; i < 8; ++i) extent(kSlab, 0, true, 9 + i % 4, 3);  // of 160, 192, 224, 256 bytes
    extent(6 * kPageBytes, 0, false, 36 + 1, 0);                            // 20 KiB
    extent(100 * kPageBytes, 1, true, 0, 0);
    extent(10 * kPageBytes, 2, false, 0, 0);
    extent(20 * kPageBytes, 3, false, 0, 0);
  }
  Bits bits;
};

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

struct MadeTcmalloc : MadeTree {
  explicit MadeTcmalloc(bool with_sizes = true) : MadeTree(13, 17) {
    if (!with_sizes) return;
    uint32_t size = 0;
    for (uint64_t at = kRoot + (uint64_t{8} << 17) + 4; size <= 256 << 10; at += 4) {
      memory.put(at, std::as_bytes(std::span(&size, 1)));
      size = size < 16 ? size + 8 : size < 128 ? size + 16 : size * 2;
    }
  }
  void span(uint64_t pages, uint64_t out, uint64_t size_class, uint64_t location) {
    const uint64_t at = next;
    next += pages << 13;
    enter(at, pages << 13,
          descriptor({at >> 13, pages, 0, 0, 0, out | size_class << 16 | location << 24, 0, 0}), 0);
    touch(at, pages << 13);
  }
  void usual() {
    for (int i = 0; i < 8; ++i) span(1, 100, 2, 0);  // of 16 bytes
    span(40, 1, 0, 0);
    span(100, 0, 0, 1);
    span(30, 0, 0, 2);
  }
};

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
