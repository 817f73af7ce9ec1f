// SPDX-License-Identifier: Apache-2.0
// A JVM in made-up memory: a libjvm whose text is a file, and whose table of fields is made as a test wants it. With a heap of
// G1, Serial or Parallel, or with a code cache.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "allocators/hotspot.h"
#include "allocators/hotspot_frames.h"
#include "unit/allocators/made_blocks.h"

namespace memwhy::allocators::test::jvm {

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
      if (vma.name != kLibrary) return std::vector<std::byte>{};
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

// Three regions were committed: filled to a half, free, and filled; of a fourth there is none.
struct MadeG1 : MadeJvm {
  // The structs that have these fields differ: Java 11, 17, 25.
  struct Names {
    const char *region = "HeapRegion", *manager = "HeapRegionManager", *space = "HeapRegion",
               *top = "HeapRegion";
  };
  MadeG1() : MadeG1(Names{}) {}
  explicit MadeG1(const Names& names) {
    offset("G1CollectedHeap", "_hrm", 0x100);
    offset(names.manager, "_regions", 0x20);
    offset("G1HeapRegionTable", "_base", 16);
    offset("G1HeapRegionTable", "_length", 24);
    variable(names.region, "GrainBytes", kRegion);
    offset(names.space, "_bottom", 0);
    offset(names.space, "_end", 8);
    offset(names.top, "_top", 16);
    flag("UseG1GC", 1);
    flag("UseSerialGC", 0);
    flag("AlwaysPreTouch", 1);
    flag("G1PeriodicGCInterval", 60000);
    memory.put_words(kHeapObject + 0x120 + 16, {kTable, 4});
    memory.put_words(kTable, {kRecords, kRecords + 0x100, kRecords + 0x200, 0});
    record(0, kRegion / 2);
    record(1, 0);
    record(2, kRegion);
    map({kJavaHeap, kJavaHeap + 3 * kRegion}, "");
    resident({kJavaHeap, kJavaHeap + 3 * kRegion});
  }
  void record(uint64_t i, uint64_t filled) {
    const uint64_t bottom = kJavaHeap + i * kRegion;
    memory.put_words(kRecords + 0x100 * i, {bottom, bottom + kRegion, bottom + filled});
  }
  static constexpr uint64_t kTable = kObjects + 0x4000, kRecords = kObjects + 0x8000;
};

// Four spaces of 64 pages each, of which so many are filled: 8, 1, 0, 32. The structs that have their fields differ.
struct MadeSpaces : MadeJvm {
  struct Names {
    const char *collector, *young, *space, *top;
  };
  static constexpr Names kSerial{"Serial", "DefNewGeneration", "ContiguousSpace", "ContiguousSpace"},
      kParallel{"Parallel", "PSYoungGen", "MutableSpace", "MutableSpace"},
      kParallel11{"Parallel", "PSYoungGen", "ImmutableSpace", "MutableSpace"};  // of Java 11
  explicit MadeSpaces(const Names& names) {
    const bool parallel = names.collector == std::string_view("Parallel");
    const uint64_t young = kObjects + 0x4000, old = kObjects + 0x5000, spaces = kObjects + 0x6000;
    if (parallel) {
      variable("ParallelScavengeHeap", "_young_gen", young);
      variable("ParallelScavengeHeap", "_old_gen", old);
      offset("PSOldGen", "_object_space", 8);
    } else {
      offset("SerialHeap", "_young_gen", 128);
      offset("SerialHeap", "_old_gen", 136);
      memory.put_words(kHeapObject + 128, {young, old});
      offset("TenuredGeneration", "_the_space", 8);
    }
    offset(names.young, "_eden_space", 8);
    offset(names.young, "_from_space", 16);
    offset(names.young, "_to_space", 24);
    offset(names.space, "_bottom", 0);
    offset(names.space, "_end", 8);
    offset(names.top, "_top", 16);
    flag(parallel ? "UseParallelGC" : "UseSerialGC", 1);
    flag("UseG1GC", 0);
    memory.put_words(young + 8, {spaces, spaces + 0x40, spaces + 0x80});
    memory.put_word(old + 8, spaces + 0xc0);
    uint64_t bottom = kJavaHeap, space = spaces;
    for (const uint64_t filled : {8, 1, 0, 32}) {
      const uint64_t end = bottom + 64 * kPageBytes;
      memory.put_words(space, {bottom, end, bottom + filled * kPageBytes});
      bottom = end;
      space += 0x40;
    }
    map({kJavaHeap, bottom}, "");
    resident({kJavaHeap, bottom});
  }
};

// Where classes and their constants hang from.
inline void make_classes_known(MadeG1& made) {
  made.variable("ClassLoaderDataGraph", "_head", kObjects + 0x30000);
  made.offset("ClassLoaderData", "_next", 8);
  made.offset("ClassLoaderData", "_klasses", 16);
  made.offset("Klass", "_next_link", 8);
  made.offset("InstanceKlass", "_constants", 16);
  made.offset("Klass", "_class_loader_data", 24);
  made.offset("ConstantPool", "_pool_holder", 8);
}

inline constexpr uint64_t kSegments = 0x7f28'0000'0000, kShift = 7, kInterpreter = 0x7f21'0000'0000;
inline constexpr uint64_t kObject = kObjects + 0x20000;

struct MadeCodeCache : MadeJvm {
  explicit MadeCodeCache(bool new_release) : is_new(new_release) {
    offset("GrowableArrayBase", "_len", 0);
    offset("GrowableArray<int>", "_data", 8);
    offset("CodeHeap", "_memory", 8);
    offset("CodeHeap", "_segmap", 120);
    offset("CodeHeap", "_log2_segment_size", 256);
    offset("VirtualSpace", "_low_boundary", 0);
    offset("VirtualSpace", "_high_boundary", 8);
    offset("HeapBlock::Header", "_length", 0);
    offset("HeapBlock::Header", "_used", is_new ? 4 : 8);
    offset("CodeBlob", "_frame_size", is_new ? 44 : 28);
    offset("CodeBlob", "_frame_complete_offset", is_new ? 54 : 20);
    if (is_new) {
      offset("CodeBlob", "_code_offset", 36);
      offset("CodeBlob", "_data_offset", 40);
    } else {
      offset("CodeBlob", "_code_begin", 32);
      offset("CodeBlob", "_code_end", 40);
      offset("CodeBlob", "_data_offset", 24);
    }
    variable("CodeCache", "_heaps", kObject);
    variable("AbstractInterpreter", "_code", kObject + 0x800);
    offset("StubQueue", "_stub_buffer", 8);
    offset("StubQueue", "_buffer_limit", 20);
    memory.put_words(kObject, {1, kObject + 0x100});
    memory.put_words(kObject + 0x100, {kObject + 0x200});
    memory.put_words(kObject + 0x208, {kCode, kCode + 0x10000});
    memory.put_words(kObject + 0x200 + 120, {kSegments, kSegments + 0x1000});
    memory.put_word(kObject + 0x200 + 256, kShift);
    memory.put_words(kObject + 0x808, {kInterpreter, uint64_t{0x2000} << 32});
    for (int i = 0; i < 16; ++i) memory.put_word(kCode + kPageBytes * i, 0);
    for (int i = 0; i < 64; ++i) memory.put_word(kSegments + 8 * i, ~uint64_t{0});  // all of it is free
  }
  template <typename T>
  void store(uint64_t address, T value) {
    memory.put(address, std::as_bytes(std::span(&value, 1)));
  }
  // A block of so many segments, with code from its byte 0x100 to its end. words: of the frame.
  void blob(uint64_t segment, uint32_t segments, int words, int complete) {
    const uint64_t block = kCode + (segment << kShift), start = block + (is_new ? 8 : 16),
                   end = block + (uint64_t{segments} << kShift);
    for (uint32_t i = 0; i < segments; ++i) store<uint8_t>(kSegments + segment + i, i > 2 ? 3 : i);  // hops
    store<uint32_t>(block, segments);
    store<uint8_t>(block + (is_new ? 4 : 8), 1);
    store<int32_t>(start + (is_new ? 44 : 28), words);
    if (is_new) {
      store<int16_t>(start + 54, static_cast<int16_t>(complete));
      store<uint32_t>(start + 36, 0x100);
      store<uint32_t>(start + 40, static_cast<uint32_t>(end - start));
    } else {
      store<int32_t>(start + 20, complete);
      store<uint64_t>(start + 32, start + 0x100);
      store<uint64_t>(start + 40, end);
    }
  }
  uint64_t code(uint64_t segment) const { return kCode + (segment << kShift) + (is_new ? 8 : 16) + 0x100; }

  bool is_new;
  Borrowed borrowed{memory};
  HeapMemory heap{borrowed, [this] { return vmas; }, {}};
  std::optional<HotspotFrames> find() {
    const auto tables = heap.refresh() ? HotspotFrames::find_tables(heap, library()) : std::nullopt;
    return tables ? HotspotFrames::find(heap, *tables) : std::nullopt;
  }
};

}  // namespace memwhy::allocators::test::jvm
