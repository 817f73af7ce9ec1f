// SPDX-License-Identifier: Apache-2.0
// Where 64-bit glibc 2.23 to 2.44 keeps the state of malloc: offsets as data, compared release by release in its sources
// (malloc/malloc.c, malloc/arena.c) and measured in the debug information of nine builds. Not a reader: glibc_find.h
// decides by shape which of these a process has, since its libc has no symbols.
//
//   malloc_state of main_arena, 2.36, at 0x7f21'3c5f8c60            chunks of a heap
//     mutex, flags, have_fastchunks  +0                              0x55d0'1000  prev_size | size 0x291 (1: the one before is in use)
//     fastbinsY[10]                  +0x10                           0x55d0'1290            | size 0x031
//     top                            +0x60  -> 0x55d0'4010           0x55d0'12c0            | size 0x411, free: fd, bk inside
//     last_remainder                 +0x68                           0x55d0'16d0  0x410     | size 0x020 (0: the one before is free)
//     bins[254]                      +0x70  "bins" below; every offset from here on is the same in all releases
//     binmap +0x7f0   next +0x800   attached_threads +0x810   system_mem +0x818   max_system_mem +0x820
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "allocators/rounding.h"

namespace memwhy::allocators {

// Chunks. A free one is known by the flag of the next header; its size is repeated in that header's first word.
constexpr uint64_t kPrevInUse = 1, kMappedChunk = 2, kNonMain = 4, kFlagBits = 7;
constexpr uint64_t kHeader = 16, kMinChunk = 32, kChunkAlign = 16;
struct ChunkHead {
  uint64_t prev_size = 0, size = 0;
  uint64_t bytes() const { return size & ~kFlagBits; }
};
constexpr uint64_t kTrimKeeps =
    48;  // malloc_trim leaves sizeof(struct malloc_chunk) at the start of a free chunk

// Bins 1 … 127 are pairs (fd, bk); the chunk that an empty one points at, in both words, is two words before itself.
constexpr size_t kBins = 127;
constexpr uint64_t kTopBeforeBins = 16;
constexpr uint64_t kStateNext = 0x800, kStateAttached = 0x810, kStateSystem = 0x818, kStateMaxSystem = 0x820;
constexpr uint64_t kStateEnd = 0x828;

// What precedes bins.
struct StateShape {
  uint64_t start = 0;     // of malloc_state, before bins
  uint64_t fastbins = 0;  // before bins; 0: the release has none
  std::string_view releases;
};
// inline: a shape is known by its address, in each file the same.
inline constexpr std::array<StateShape, 3> kStateShapes = {{
    {0x70, 0x60, "2.27-2.42"},
    {0x18, 0, "2.43-2.44"},
    {0x68, 0x60, "2.23-2.26"},
}};
constexpr size_t kFastbins = 10;   // of chunks of 32, 48 … 176 bytes
constexpr int kContiguousNot = 2;  // of `flags`: brk was refused, or never called

// Memory of an arena that is not the main one: heaps, each at a multiple of its greatest size. heap_info: ar_ptr, prev, size.
constexpr uint64_t kHeapMax = uint64_t{64} << 20;
constexpr std::array<uint64_t, 3> kHeapMaxima = {kHeapMax, uint64_t{8} << 20,
                                                 uint64_t{4} << 30};  // hugetlb=2: 2 MiB, 1 GiB
constexpr size_t kMostRegions = 4096;                         // of one arena that are read: 256 GiB of heaps
constexpr uint64_t kHeapInfo226 = 0x20, kHeapInfo235 = 0x30;  // sizeof(heap_info)

// struct malloc_par, "mp_": settings, and what was mapped in chunks of their own.
struct ParLayout {
  std::string_view releases;
  bool shape243 = false;      // only with that shape: 8 bytes further, it reads like the one of 2.35
  bool safe_linking = false;  // 2.32 and later, known for these releases
  int n_mmaps = 0, n_mmaps_max = 0, max_n_mmaps = 0, no_dyn_threshold = 0;  // int
  int mmapped_mem = 0, max_mmapped_mem = 0, sbrk_base = 0;
  int tcache_bins = 0, tcache_max_bytes = 0, tcache_count = 0;
  int thp_pagesize = -1;
};
inline constexpr std::array<ParLayout, 3> kParLayouts = {{
    {"2.26-2.34", false, false, 40, 44, 48, 52, 56, 64, 72, 80, 88, 96, -1},
    {"2.35-2.42", false, true, 60, 64, 68, 72, 80, 88, 96, 104, 112, 120, 40},
    {"2.43-2.44", true, true, 68, 72, 76, 80, 88, 96, 104, 112, 120, 128, 48},
}};
constexpr size_t kParBytes = 144;
constexpr int kParTrimThreshold = 0, kParTopPad = 8, kParMmapThreshold = 16, kParArenaTest = 24,
              kParArenaMax = 32;

// tcache_perthread_struct, a chunk of each thread's: counts, then the heads of lists of chunks of 32, 48 … bytes.
struct TcacheLayout {
  std::string_view releases;
  uint64_t chunk = 0;  // size of its chunk
  size_t bins = 0;
  size_t count_bytes = 0;  // of one count
  bool slots = false;      // counts what may still be put in, not what is in
};
inline constexpr std::array<TcacheLayout, 3> kTcacheLayouts = {{
    {"2.26-2.29", 0x250, 64, 1, false},
    {"2.30-2.41", 0x290, 64, 2, false},
    {"2.42-2.44", 0x300, 76, 2, true},
}};
constexpr size_t kTcacheSmallBins =
    64;  // bin i of them holds chunks of 32 + 16 i; the others are by powers of two

// The thread control block (struct pthread) holds its own address twice, and the thread's id.
constexpr uint64_t kTcbSelf = 0x10, kTcbTid = 0x2d0;

constexpr bool aligned(uint64_t address) { return address % kChunkAlign == 0; }

}  // namespace memwhy::allocators
