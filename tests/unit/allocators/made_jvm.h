// SPDX-License-Identifier: Apache-2.0
// A JVM in made-up memory: a libjvm whose text is a file, and whose table of fields is made as a test wants it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "allocators/hotspot.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test {

inline constexpr uint64_t kText = 0x7f00'0000'0000, kData = 0x7f00'0010'0000, kObjects = 0x7f10'0000'0000;
inline constexpr uint64_t kJavaHeap = 0xf000'0000, kRegion = 1 << 20, kCode = 0x7f20'0000'0000;
inline constexpr uint64_t kClasses = 0x8'0000'0000, kConstants = 0x7f30'0040'0000, kOther = 0x7f40'0040'0000;
inline constexpr const char* kLibrary = "/usr/lib/jvm/lib/server/libjvm.so";

struct MadeJvm : MadeProcess {
  MadeJvm() {
    events::Vma text;
    text.range = {kText, kData};
    text.read = true;
    text.inode = 7;
    text.name = kLibrary;
    vmas.push_back(text);
    map({kData, kData + 0x20000}, kLibrary, 7);
    map({kObjects, kObjects + 0x100000}, "");
    for (uint64_t page = kData; page < kData + 0x20000; page += kPageBytes) memory.put_word(page + 8, 0);
    for (int i = 0; i < 70; ++i) offset("Padding", ("_field" + std::to_string(i)).c_str(), 8 * i);
    offset("JVMFlag", "_addr", 0);
    offset("JVMFlag", "_name", 8);
    variable("JVMFlag", "flags", kFlags);
    variable("JVMFlag", "numFlags", 0);
    variable("Universe", "_collectedHeap", kHeapObject);
    offset("CollectedHeap", "_total_collections", 64);
    memory.put_word(kHeapObject + 64, 5);
  }

  uint64_t name(const std::string& text) {
    const uint64_t at = kText + file.size();
    file += text + '\0';
    return at;
  }
  void entry(const char* type, const char* field, uint64_t is_static, uint64_t offset, uint64_t address) {
    memory.put_words(kData + 0x100 + 48 * entries++,
                     {name(type), name(field), 0, is_static, offset, address});
  }
  void offset(const char* type, const char* field, uint64_t at) { entry(type, field, 0, at, 0); }
  uint64_t variable(const char* type, const char* field, uint64_t value) {
    const uint64_t at = kData + 0x10000 + 8 * variables++;
    memory.put_word(at, value);
    entry(type, field, 1, 0, at);
    return at;
  }
  // A flag of one byte, or a number.
  void flag(const char* text, uint64_t value) {
    const uint64_t at = kData + 0x14000 + 8 * flags;
    memory.put_word(at, value);
    memory.put_words(kFlags + 24 * flags++, {at, name(text), 0});
    memory.put_words(kFlags + 24 * flags, {0, 0, 0});
    memory.put_word(kData + 0x10008, flags + 1);
  }
  FileBytes library() {
    return [this](const events::Vma& vma, uint64_t address, size_t count) {
      EXPECT_EQ(vma.name, kLibrary);
      std::string text = file;
      text.resize(std::max<size_t>(text.size(), address - kText + count));
      const auto* const first = reinterpret_cast<const std::byte*>(text.data()) + (address - kText);
      return std::vector<std::byte>(first, first + count);
    };
  }
  BlockReading reading() { return open(std::make_unique<Hotspot>(library())).read(scan()); }
  events::AllocatorHeap heap() {
    const BlockReading read = reading();
    return read.heap ? *read.heap : events::AllocatorHeap{};
  }
  uint64_t resident_of(const BlockReading& read, const char* use) const {
    uint64_t pages = 0;
    for (const events::RuntimeRun& run : read.pages.runs)
      for (PageNumber page = run.page; page < run.page + run.count; ++page)
        if (read.pages.uses[run.use] == std::string(use) && memory.has(page)) ++pages;
    return pages * kPageBytes;
  }
  void resident(AddressRange range) {
    for (uint64_t page = range.start; page < range.end; page += kPageBytes) memory.put_word(page, 1);
  }

  static inline constexpr uint64_t kFlags = kData + 0x12000, kHeapObject = kObjects + 0x1000;
  std::string file = "start";
  uint64_t entries = 0, variables = 0, flags = 0;
};

}  // namespace memwhy::allocators::test
