// SPDX-License-Identifier: Apache-2.0
// What the Go page allocator holds every 8 KiB page of the heap for: its bitmaps, read from outside, without
// a stop. Residency is not known here; only the kernel knows it.
//
//   arena of 64 MiB = 8192 pages, chunk of 4 MiB = 512 pages, pallocData of a chunk = 512 + 512 bits:
//     page       0 1 2 3 4 5 6 7
//     allocated  1 1 1 1 0 0 0 1     pageInUse has a bit for the first page of a span of objects
//     scavenged  0 0 0 0 0 1 1 0
//     spans[]    a a b b - - - c     runs {0, 2, span a} {2, 2, span b} {4, 1, idle} {5, 2, released} {7, 1, span c}
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "goruntime/globals.h"

namespace memwhy::goruntime {

enum class PageClass : uint8_t {
  kHeapSpan,    // in a span of objects
  kManualSpan,  // in a span of stacks or work buffers: the mspan says which
  kIdle,        // free, not given back to the system
  kReleased,    // free, given back (or never touched)
  kPadding,     // in front of a randomised heap base (1.26)
  kUnknown,     // allocated, but no span is to be seen: caught in motion
};
constexpr size_t kPageClasses = 6;

// `pages` Go pages from `address` on. Of spans, one run is one span.
struct PageRun {
  uint64_t address = 0;
  uint32_t pages = 0;
  PageClass page_class = PageClass::kUnknown;
  uint64_t span = 0;  // address of the mspan; 0 none
};

// The runtime's own counters, in bytes (names as in the runtime's source).
struct HeapCounters {
  uint64_t heap_in_use = 0, heap_free = 0, heap_released = 0, mapped_ready = 0;
  uint64_t in_stacks = 0, in_work_bufs = 0, in_ptr_scalar_bits = 0;
  uint64_t heap_live = 0, heap_marked = 0, total_alloc = 0, total_free = 0;
  uint64_t heap_goal = 0;  // by GOGC and GOMEMLIMIT; 0: none (GOGC=off and no limit)
  uint64_t mspan_sys = 0, mcache_sys = 0, buckhash_sys = 0, gc_misc_sys = 0, other_sys = 0, stacks_sys = 0;
  int64_t memory_limit = 0;  // INT64_MAX: none
  int32_t gc_percent = 0;    // -1: off
  uint32_t gc_cycles = 0;    // completed
  bool operator==(const HeapCounters&) const = default;
};

struct HeapPages {
  std::vector<PageRun> runs;                   // in order of address
  std::array<uint64_t, kPageClasses> bytes{};  // by class; virtual
  HeapCounters before, after;                  // read around the pass
  std::vector<uint64_t> tables;                // addresses of the structures that were read on the way
  // The self-test: the classes sum to the runtime's counters: exactly, or while something moves within 1 %.
  bool verified = false;
  bool quiet = false;  // no counter moved during the pass
  uint64_t total(PageClass c) const { return bytes[static_cast<size_t>(c)]; }
};

Result<HeapCounters> read_counters(remote::RemoteMemory& memory, const Globals& globals);

// One pass; repeated up to `attempts` times while a collection tears it, twice that while its sums are not
// verified. kAbsent: a table could not be read.
Result<HeapPages> read_pages(remote::RemoteMemory& memory, const Globals& globals, int attempts = 3);

}  // namespace memwhy::goruntime
