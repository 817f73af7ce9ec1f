// SPDX-License-Identifier: Apache-2.0
// What is inside the spans of a heap: for each OS page, how many bytes are in objects that the last
// collection marked, in objects that it did not (allocated since, or dead and not yet swept), and in no
// object.
//
//   span 0xc00'0010'0000, 1 Go page, elemsize 1024, nelems 8, swept (allocBits = marks of the last cycle)
//     slot        0     1     2     3     4     5     6     7
//     allocBits   1     0     1     1     0     0     0     1
//     freeindex 5 ────────────────────────────► slots below it are taken: 1 and 4 since the collection
//     state       live  new   live  live  new   free  free  live
//   first 4 KiB page: live 3072, unmarked 1024, free 0; second: live 1024, unmarked 1024, free 2048
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "goruntime/pages.h"

namespace memwhy::goruntime {

enum class SpanKind : uint8_t { kObjects, kStack, kWorkBuffer, kOther, kInMotion };

// One mspan, as read; checked against the page tables (kInMotion when they disagree).
struct Span {
  uint64_t address = 0;  // of its memory
  uint32_t pages = 0;    // Go pages
  SpanKind kind = SpanKind::kInMotion;
  bool noscan = false, large = false;
  bool swept = true;  // since the last collection
  uint32_t elements = 0, allocated = 0, free_index = 0;
  uint64_t element_bytes = 0;
  uint64_t specials = 0;       // head of its list
  std::vector<uint64_t> bits;  // one a slot: taken; then as many words, one bit a slot: marked
  uint64_t bytes() const { return uint64_t{pages} * 8192; }
  std::span<const uint64_t> allocated_bits() const { return std::span(bits).first(bits.size() / 2); }
  std::span<uint64_t> allocated_bits() { return std::span(bits).first(bits.size() / 2); }
  // By the last complete collection.
  std::span<const uint64_t> marks() const { return std::span(bits).last(bits.size() / 2); }
};

struct SpanTable {
  std::vector<Span> spans;  // in order of address: every run of HeapPages with an mspan
  uint64_t in_motion = 0;   // of them, those that changed while they were read
  bool marking = false;     // a collection was under way: marks are those of the one before
};

// Reads the mspans of `pages`, each page of them once.
Result<SpanTable> read_spans(remote::RemoteMemory& memory, const Globals& globals, const HeapPages& pages);

// The objects at these addresses, in any order, count as free from then on.
void take_out(SpanTable& spans, std::span<const uint64_t> addresses);

constexpr uint64_t kMostHeapBitsBytes =
    512;  // an object of which a bitmap marks the pointers (mbitmap.go heapBitsInSpan)
// Address of the bitmap of the span's pointers, one bit for each of its words: which words of its objects the collector
// reads. 0: larger objects, Go before 1.22, or a span that is not laid out as such spans are.
uint64_t pointer_bitmap(const Globals& globals, const Span& span);

struct Occupancy {
  uint64_t live_bytes = 0, unmarked_bytes = 0, free_bytes = 0;
};

// Of the bytes [from, to) of the address space, which must lie in `span` (kind kObjects).
Occupancy occupancy(const Span& span, uint64_t from, uint64_t to);

}  // namespace memwhy::goruntime
