// SPDX-License-Identifier: Apache-2.0
// mimalloc's segments and musl's groups in made-up memory.
#pragma once

#include "allocators/mimalloc.h"
#include "allocators/mimalloc_arenas.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::groups {

inline constexpr uint64_t kData = 0x7f00'0000'0000;
inline constexpr uint64_t kSegment = 0x7f12'4000'0000, kSlice = 64 << 10, kSlices = kSegment + 0x108;

struct MadeMimalloc : MadeProcess {
  MadeMimalloc() {
    map({kSegment, kSegment + Mimalloc::kSegmentBytes}, "");
    memory.put_words(kSlices - 40, {512, 1, 0, 512, 0x7fd8'58b4'e740});
    slice(0, 1, 0, 0, 0);
  }
  void slice(uint64_t at, uint32_t count, uint16_t capacity, uint32_t used, uint32_t block) {
    memory.put_words(kSlices + 80 * at, {count, uint64_t{capacity} << 16, 0, uint64_t{block} << 32 | used});
    for (uint64_t page = 0; page < 16; ++page)
      memory.put_word(kSegment + at * kSlice + page * kPageBytes + 4088, 0);
  }
  void usual() {
    slice(1, 1, 100, 97, 640);
    slice(2, 8, 4, 1, 100'000);
    slice(10, 502, 0, 0, 0);
  }
};

// An arena of mimalloc 3 of 64 slices, as 3.1 has it (a page is described where it begins), or 3.4 (in a table).
struct MadeArena : MadeProcess {
  static constexpr uint64_t kArena = 0x7f12'4001'0000, kArenaSlices = 64, kOwn = 2, kTable = kArena + 0x1000;
  explicit MadeArena(bool in_table = false) : in_table_(in_table) {
    map({kArena, kArena + kArenaSlices * kSlice}, "");
    const uint64_t map = kArena + 0x400;  // 128 bytes of head, 64 of the slices
    if (in_table)
      memory.put_words(kArena, {kArena, 4 << 20, 4, kData, 0, kArenaSlices, kOwn, 0, 0, 0, 0, 0, 0, map,
                                map + 192, map + 384, map + 576, kTable});
    else
      memory.put_words(kArena, {kArena, 4 << 20, 4, kData, kArenaSlices, kOwn, 0, 0, map, map + 192,
                                map + 384, map + 576, map + 768});
    for (uint64_t word = 0; word < 8; ++word) memory.put_word(map + 128 + 8 * word, 0);
    set_free(0);
  }
  void set_free(uint64_t slices) { memory.put_word(kArena + 0x400 + 128, slices); }
  void page(uint64_t slice, uint64_t slices, uint64_t capacity, uint64_t used, uint64_t block) {
    const uint64_t begin = kArena + slice * kSlice, counts = capacity << 32 | capacity << 16 | used;
    touch(begin, slices * kSlice);
    if (in_table_)
      memory.put_words(kTable + 112 * slice,
                       {1, 0, counts, 0, 1, block, (begin + 4096 - kTable - 112 * slice) / 8, 0, 0, 0, 0,
                        kArena, slices << 32 | slice, 7});
    else
      memory.put_words(
          begin, {1, 0, counts, 0, 1, block, begin + 4096, 0, 0, 0, 0, 0, kArena, slices << 32 | slice, 7});
  }
  void touch(uint64_t begin, uint64_t bytes) {
    for (uint64_t at = begin; at < begin + bytes; at += kPageBytes) memory.put_word(at + 4088, 0);
  }
  void usual() {
    page(2, 1, 90, 60, 640);
    page(3, 8, 5, 1, 100'000);
    touch(kArena + 11 * kSlice, 2 * kSlice);
    set_free(~uint64_t{0} << 12);  // slice 11 is neither
  }

 private:
  bool in_table_;
};

inline constexpr uint64_t kSecret = 0x5e12'3456'789a'bcc1, kArea = 0x5555'0000'0000;
inline constexpr uint64_t kGroups = 0x7f10'0000'0000;

struct MadeMusl : MadeProcess {
  explicit MadeMusl(uint64_t offset = 56) {
    map({kData, kData + 0x4000}, "/lib/ld-musl-x86_64.so.1", 5);
    map({kArea, kArea + 0x2000}, "");
    map({kGroups, kGroups + 0x100'0000}, "");
    memory.put_word(kData + 0x1230, kSecret);
    memory.put_word(kData + 0x1230 + offset, kArea);
    memory.put_words(kArea, {kSecret, 0, 0});
  }
  uint64_t meta(uint64_t group, uint64_t last, uint32_t available, uint32_t freed, uint64_t size_class,
                uint64_t pages) {
    const uint64_t at = kArea + 24 + 40 * metas++;
    memory.put_word(kArea + 16, metas);
    memory.put_words(
        at, {0, 0, group, uint64_t{freed} << 32 | available, last | 1 << 5 | size_class << 6 | pages << 12});
    memory.put_word(group, at);
    return at;
  }
  void touch(uint64_t address, uint64_t bytes) {
    for (uint64_t at = address + 8; at < address + bytes; at += kPageBytes) memory.put_word(at, 0);
  }
  void usual() {
    touch(kGroups, 0x2000);
    meta(kGroups, 9, 0b111, 0b1000, 9, 0);  // 10 slots of 160 bytes, 4 of them free
    touch(kGroups + 0x10000, 25 * kPageBytes);
    meta(kGroups + 0x10000, 0, 0, 0, 63, 25);
  }
  size_t metas = 0;
};

}  // namespace memwhy::allocators::test::groups
