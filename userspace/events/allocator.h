// SPDX-License-Identifier: Apache-2.0
// What is read of a C heap's allocator besides its pages (RuntimePages of the same scan): which of the free memory would come
// back, and how, what is in use by size, and its settings. Sums over all copies of the allocator in the process.
//
//   AllocatorHeap { scan 7, "glibc", 17 arenas, resident: used 32.4 MiB, trimmable 184.6 MiB (0 in parts of huge pages),
//                   pinned 12.9 MiB, top 0.8 MiB, cached 4.7 MiB in 24 caches; mapped 2 chunks, 8.0 MiB;
//                   sizes {{1,008, 3.1 MiB}, {48, 0.9 MiB}, …} }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace memwhy::events {

// Live chunks of one size; sizes of a page and more are summed by powers of two.
struct AllocatorSize {
  uint64_t chunk_bytes = 0, bytes = 0;
  bool operator==(const AllocatorSize&) const = default;
};

struct AllocatorHeap {
  SpaceId space{};
  uint64_t scan = 0;
  std::string allocator;  // as RuntimePages::runtime
  std::string problem;    // why something was not read; "" all of it was
  uint64_t age_ns = 0;    // of what is free: how long before this event it was read
  uint64_t arenas = 0, unread_arenas = 0;
  uint64_t system_bytes = 0;  // that arenas have from the system, resident or not

  // Resident bytes. Used and the four kinds of free sum to the pages of arenas.
  uint64_t used_bytes = 0;
  uint64_t trimmable_bytes = 0;  // a call returns them now (malloc_trim)
  uint64_t trimmable_huge_bytes =
      0;                      // of these: parts of huge pages, which leave RSS but not the memory cgroup
  uint64_t pinned_bytes = 0;  // free, on pages that hold something in use
  uint64_t top_bytes = 0;     // out of that call's reach: the end of arenas, another copy
  uint64_t cached_bytes = 0;  // in caches of threads
  uint64_t free_beside_main_bytes = 0;  // of all of the free: in other arenas than the main one
  uint64_t large_free_bytes = 0;        // of all of the free: in runs of 128 KiB and more
  uint64_t mapped_bytes = 0;            // in chunks that are mappings of their own
  uint64_t mapped_chunks = 0;
  uint64_t caches = 0;
  uint64_t unknown_bytes = 0;  // counted as used: chunks of unknown state

  // Settings in force.
  uint64_t arena_max = 0, mmap_threshold = 0, trim_threshold = 0;
  bool thresholds_fixed = false;

  std::vector<AllocatorSize> sizes;  // what is in use, largest sums first; empty: not read this time

  // Of a managed heap.
  std::string collector;                // "G1"; "": none, or unknown
  uint64_t collections = 0;             // so far
  uint64_t collection_interval_ms = 0;  // at which one is made even if nothing is allocated; 0: never
  bool pretouched = false;              // all of it is made resident at the start
  bool operator==(const AllocatorHeap&) const = default;
};

}  // namespace memwhy::events
