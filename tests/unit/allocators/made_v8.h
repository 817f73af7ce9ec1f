// SPDX-License-Identifier: Apache-2.0
// Pages of V8 in made-up memory, in each layout: up to V8 11, that of 12, and since 13.
#pragma once

#include <string>

#include "allocators/v8.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::v8 {

inline constexpr uint64_t kHeap = 0x5555'0000'1000, kFirst = 0x1000'0000'0000, kPage = V8::kPage;
inline constexpr uint64_t kOld = 0x4, kYoung = 0xa;

struct MadeV8 : MadeProcess {
  MadeV8() { map({kHeap, kHeap + 0x100000}, "[heap]"); }
  static uint64_t place(uint64_t i) { return kFirst + i * 4 * kPage; }
  void resident(uint64_t at, uint64_t bytes) {
    map({at, at + bytes}, "");
    for (uint64_t page = at; page < at + bytes; page += kPageBytes) memory.put_word(page + 0xff0, 1);
  }
  void classic(uint64_t i, uint64_t bytes, uint64_t flags, uint64_t used) {
    const uint64_t at = place(i);
    resident(at, bytes);
    memory.put_words(at, {bytes, flags, kHeap, at + 0x1148, at + bytes, used, 0, 0x40, 7, 8, at, bytes});
  }
  void with_record(uint64_t i, uint64_t bytes, uint64_t flags, uint64_t used) {
    const uint64_t at = place(i);
    resident(at, bytes);
    memory.put_words(at, {flags, at, bytes, kHeap, at + 0x1140, at + bytes, used, 0, 0x40, 7, 8, at, bytes});
  }
  void recorded(uint64_t i, uint64_t bytes, uint64_t flags, uint64_t used) {
    const uint64_t at = place(i), record = kHeap + 0x1000 + 0x100 * i;
    resident(at, bytes);
    memory.put_words(at, {flags, record});
    memory.put_words(record, {8, at, bytes, used, 0, 0x40, bytes, at + bytes, kHeap, at + 16, 7, 0});
  }
  uint64_t bytes_of(const BlockReading& reading, const std::string& use) {
    uint64_t sum = 0;
    for (const events::RuntimeRun& run : reading.pages.runs)
      if (reading.pages.uses[run.use] == use) sum += run.count * kPageBytes;
    return sum;
  }
  BlockReading reading() { return open(std::make_unique<V8>()).read(scan()); }
};

}  // namespace memwhy::allocators::test::v8
