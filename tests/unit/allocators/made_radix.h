// SPDX-License-Identifier: Apache-2.0
// Trees of jemalloc and tcmalloc in made-up memory, with the descriptors of what they allocated.
#pragma once

#include "allocators/radix_map.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::radix {

inline constexpr uint64_t kRoot = 0x7f00'0000'0000 + 0x2340, kLeaf = 0x7f20'0000'0000,
                          kDescriptors = 0x7f20'0040'0000;
inline constexpr uint64_t kHeap = 0x7f12'4000'0000;

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
inline constexpr Bits k53{17, 20, 28}, k52{16, 18, 26};

// Slabs with 3 free blocks each, two of each size, and 20 KiB. Free slabs keep their flag, as in a real one.
inline constexpr uint64_t kSlab = 105 * kPageBytes;
inline constexpr uint64_t kUsualUsed = 2 * (4 * kSlab - 3 * (160 + 192 + 224 + 256)) + (20 << 10);
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

}  // namespace memwhy::allocators::test::radix
