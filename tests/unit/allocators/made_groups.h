// SPDX-License-Identifier: Apache-2.0
// mimalloc's segments and musl's groups in made-up memory.
#pragma once

#include "allocators/mimalloc.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::groups {

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

inline constexpr uint64_t kData = 0x7f00'0000'0000, kSecret = 0x5e12'3456'789a'bcc1, kArea = 0x5555'0000'0000;
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
