// SPDX-License-Identifier: Apache-2.0
// PHP's heap in made-up memory: two chunks and a huge block.
#pragma once

#include "allocators/zend.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::php {

inline constexpr uint64_t kMain = 0x7f00'0020'0000, kSecond = kMain + Zend::kChunk, kHuge = 0x7f00'4000'0000;
inline constexpr uint64_t kHeapAt = kMain + 64;
inline constexpr size_t kMapAt = 0x220;  // of a chunk

// Chunk by chunk: slots of 16 bytes on page 1, slots of 320 bytes on pages 2 to 6, a run of 10 pages, the rest free.
struct MadePhp : MadeProcess {
  explicit MadePhp(size_t first = 4) : first_slot(first) {
    chunk(kMain, kSecond);
    chunk(kSecond, kMain);
    map({kHuge, kHuge + Zend::kChunk}, "");
    for (uint64_t at = kHuge; at < kHuge + Zend::kChunk; at += kPageBytes) memory.put_word(at, 1);
    for (uint64_t word = 0; word < 52; ++word) memory.put_word(kHeapAt + 8 * word, 0);
    memory.put_words(kHeapAt + 8 * 2, {100, 100});
    if (first_slot == 5) memory.put_word(kHeapAt + 8 * 4, 0x1234'5678'9abc'def1);
    memory.put_word(kHeapAt + 8 * (first_slot + 36), kMain + kPageBytes + 0x800);
    memory.put_words(kMain + kPageBytes + 0x800, {kHuge, Zend::kChunk, 0});
    memory.put_word(kHeapAt + 8 * (first_slot + 37), kMain);
    memory.put_word(slot_list(1), kMain + kPageBytes + 16);
    memory.put_word(kMain + kPageBytes + 16, kSecond + kPageBytes + 32);
    memory.put_word(kSecond + kPageBytes + 32, 0);
    memory.put_word(slot_list(16), kMain + 3 * kPageBytes + 64);
    memory.put_word(kMain + 3 * kPageBytes + 64, 0);
  }
  uint64_t slot_list(size_t size) const { return kHeapAt + 8 * (first_slot + size); }
  void chunk(uint64_t at, uint64_t next) {
    map({at, at + Zend::kChunk}, "");
    for (uint64_t page = at; page < at + Zend::kChunk; page += kPageBytes) memory.put_word(page, 0);
    memory.put_words(at, {kHeapAt, next, next, 512 - 17});
    for (size_t word = 0; word < 8; ++word)
      memory.put_word(at + kMapAt - 64 + 8 * word, word == 0 ? (1 << 17) - 1 : 0);
    for (size_t word = 0; word < 256; ++word) memory.put_word(at + kMapAt + 8 * word, 0);
    const auto pair = [&](size_t page, uint64_t first, uint64_t second) {
      memory.put_word(at + kMapAt + 4 * page, second << 32 | first);
    };
    pair(0, 0x4000'0001, 0x8000'0001);
    pair(2, 0x8000'0010, 0xc001'0010);
    pair(4, 0xc002'0010, 0xc003'0010);
    pair(6, 0xc004'0010, 0x4000'000a);
  }
  size_t first_slot;
};

}  // namespace memwhy::allocators::test::php
