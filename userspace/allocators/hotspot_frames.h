// SPDX-License-Identifier: Apache-2.0
// How frames of the code that HotSpot makes are left, by its own tables: they say how large the frame of a method is that one of its
// compilers made, and where its interpreter is. Compiled code uses the frame pointer as any other register.
//
//   7f20'0000'1a40   interpreter              fp + 16; the stack pointer of its caller, which made room for it, at fp - 8
//   7f20'0450'2c18   nmethod, frame complete  sp + 48, fp at -16
//   7f20'0450'2c04   the same, before that    nothing is known
//   7f20'0010'0080   stub                     fp + 16
//
// What it is: the walk over the map of segments of a code heap, and one header. What it is not: who makes rules of it
// (unwind/made_code.h). Methods are freed, and others get their place: gone() says which of those that were asked about.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "allocators/heap_memory.h"
#include "allocators/hotspot_tables.h"

namespace memwhy::allocators {

class HotspotFrames {
 public:
  enum class Kind : uint8_t {
    kPointer,      // fp + 16
    kInterpreted,  // the same, and the caller's stack pointer is in the frame
    kCompiled,     // sp + bytes
  };
  struct Frame {
    Kind kind = Kind::kPointer;
    uint32_t bytes = 0;
    bool operator==(const Frame&) const = default;
  };

  // nullopt: no JVM, or one that is not known. They are those of its file, and there before the VM has begun.
  static std::optional<HotspotTables> find_tables(HeapMemory& memory, const FileBytes& read_file);
  // nullopt: the VM has not made its code heaps yet.
  static std::optional<HotspotFrames> find(HeapMemory& memory, const HotspotTables& tables);

  // Of an instruction in made code. nullopt: nothing is known of it.
  std::optional<Frame> frame(HeapMemory& memory, uint64_t address);
  // Code that was asked about and is another now. nullopt: the memory cannot be read any more.
  std::optional<std::vector<AddressRange>> gone(HeapMemory& memory);

 private:
  struct CodeHeap {
    AddressRange code;
    uint64_t segments = 0;  // map of them, one byte each
    uint32_t shift = 0;     // log2 of the bytes of one
    bool operator==(const CodeHeap&) const = default;
  };
  // Offsets in the structs of this release.
  struct Layout {
    uint64_t length = 0, used = 0, header = 0;  // of a block
    uint64_t complete = 0, frame = 0;           // of a blob
    std::optional<uint64_t> begin, end;         // pointers
    uint64_t begin_offset = 0, end_offset = 0;  // from its start on, where there are none
  };
  struct Blob {
    AddressRange block, code;  // code: from where its frame is complete
    uint32_t frame_bytes = 0;  // 0: it has none, or one by frame pointer
    bool operator==(const Blob&) const = default;
  };
  static constexpr size_t kHead = 192;  // of a block: its header and that of its blob
  static constexpr size_t kMostBlobs = 8192;

  bool read_layout(const HotspotTables& tables);
  bool read_heaps(HeapMemory& memory, const HotspotTables& tables);
  std::optional<uint64_t> block_of(HeapMemory& memory, const CodeHeap& heap, uint64_t address) const;
  std::optional<Blob> blob(uint64_t block, std::span<const std::byte> head) const;

  Layout layout_;
  std::vector<CodeHeap> heaps_;
  AddressRange interpreter_;
  std::map<uint64_t, Blob> blobs_;  // those that were asked about, by where their block ends
  bool forgot_ = false;             // some of them
};

}  // namespace memwhy::allocators
