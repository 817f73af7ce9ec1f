// SPDX-License-Identifier: Apache-2.0
// One glibc of a process, as one reading found it: its arenas with the memory that they have from the system, the free part
// of it, its settings. Values only: glibc_find.h finds and verifies, glibc_free.h and glibc_walk.h fill in what is free.
//
//   Glibc libc.so.6, shape 2.27-2.42
//     Arena main   system 132 KiB   Region 55d01000..55d22000   chunks 55d01000..55d04010, then top
//       page        55d01   55d02   55d03   55d04
//       free        1,104   4,096   4,096       0      bytes of free chunks on it
//       trimmed         0       1       1       0      malloc_trim drops the page
//     Arena 7f2130000030   two Regions, the older one ends in fenceposts
//     mapped chunks {7f214000000 +1 MiB}   tcaches {thread control block 7f21'50000740, 61 chunks, 5,408 bytes}
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "allocators/glibc_layout.h"
#include "base/ids.h"

namespace memwhy::allocators {

// Memory of one arena without a gap. `range` is all of it, headers and top included; whole pages but at its edges.
struct Region {
  AddressRange range;
  AddressRange chunks;         // side by side in it; then top, or fenceposts
  bool has_top = false;        // top is [chunks.end, range.end)
  std::vector<uint16_t> free;  // by page of `range`: bytes of free chunks, top apart
  std::vector<bool> trimmed;   // by page: malloc_trim drops it

  uint64_t first_page() const { return range.start >> kPageShift; }
  // The size of free and trimmed: the caller has paid for it (HeapMemory::keep).
  uint64_t kept_bytes() const { return pages_touched(range).pages() * (sizeof(uint16_t) + 1); }
  // Once, before add_free().
  void prepare() {
    free.clear();
    trimmed.clear();
    fit();
  }
  // As large as `range` is now; new pages have nothing free.
  void fit() {
    const uint64_t pages = pages_touched(range).pages();
    free.resize(pages);
    trimmed.resize(pages);
  }
  // A run of free chunks. `trim`: malloc_trim drops the whole pages in it.
  void add_free(AddressRange run, bool trim) {
    run = {std::max(run.start, chunks.start), std::min(run.end, chunks.end)};
    if (run.empty()) return;
    for (uint64_t page = run.start >> kPageShift; page << kPageShift < run.end; ++page) {
      const uint64_t from = std::max(run.start, page << kPageShift);
      const uint64_t to = std::min(run.end, (page + 1) << kPageShift);
      uint16_t& bytes = free[page - first_page()];
      bytes = static_cast<uint16_t>(std::min<uint64_t>(kPageBytes, bytes + (to - from)));
    }
    if (!trim) return;
    const uint64_t first = round_up(run.start + kTrimKeeps, kPageBytes) >> kPageShift;
    for (uint64_t page = first; (page + 1) << kPageShift <= run.end; ++page)
      trimmed[page - first_page()] = true;
  }
};

struct Arena {
  uint64_t address = 0, bins = 0;
  uint64_t top = 0, top_bytes = 0;
  uint64_t system_bytes = 0, max_system_bytes = 0;
  uint64_t merged_top = 0;  // where top would begin if free chunks before it were merged; 0: at `top`
  bool main = false, contiguous = true;
  bool believed = true;  // false: it changed during each try, or is no arena: `cut` has that
  std::vector<Region> regions;
  std::vector<AddressRange> fast;  // fastbin chunks, in order of address
  std::vector<uint64_t> known;     // some chunks out of its bins, in order: where a walk can go on
  bool walked = false;             // chunk after chunk, not by the free lists alone
  uint64_t unknown_bytes = 0;      // that a walk had to skip; they count as used
  std::string cut;                 // why something of it was not read; "" everything was

  uint64_t kept_bytes() const {
    uint64_t sum = 0;
    for (const Region& region : regions) sum += region.kept_bytes();
    return sum;
  }
  uint64_t merged_top_or_top() const { return merged_top != 0 && merged_top < top ? merged_top : top; }
  void cut_short(std::string_view why) {
    if (cut.empty()) cut = why;
  }
};

// mp_.
struct Par {
  const ParLayout* layout = nullptr;
  uint64_t trim_threshold = 0, top_pad = 0, mmap_threshold = 0, arena_test = 0, arena_max = 0;
  uint64_t mapped_chunks = 0, mapped_chunks_most = 0, mapped_chunks_max = 0;
  bool thresholds_fixed = false;  // set by the environment or mallopt: they do not adapt
  uint64_t mapped_bytes = 0, mapped_bytes_max = 0, sbrk_base = 0;
  uint64_t tcache_bins = 0, tcache_max_bytes = 0, tcache_count = 0, thp_pagesize = 0;
};

// What the cache of one thread holds, by the place of each list's first chunk.
struct TcacheList {
  uint64_t first = 0, bytes = 0;
};

// Bytes in live chunks by their size: class 16 i for sizes below 4 KiB, then by powers of two.
using SizeClasses = std::map<uint64_t, uint64_t>;

struct Glibc {
  std::string module;  // path of the file that its data is mapped from
  uint64_t main_arena = 0;
  const StateShape* shape = nullptr;
  bool safe_linking = false;
  std::optional<Par> par;
  std::vector<Arena> arenas;         // main_arena first
  std::vector<AddressRange> mapped;  // chunks in mappings of their own
  uint64_t tcaches = 0;
  std::vector<TcacheList> cached;
  SizeClasses sizes;  // of arenas that were walked

  uint64_t mapped_bytes() const {
    uint64_t sum = 0;
    for (const AddressRange& chunk : mapped) sum += chunk.bytes();
    return sum;
  }
};

}  // namespace memwhy::allocators
