// SPDX-License-Identifier: Apache-2.0
// Sizes of the Go runtime on linux/amd64 that are the same from 1.19 on and that no layout contains: the readers of this room
// assume them, and dwarf_layout.cpp checks them in a program of an unknown release.
//
//   arena 64 MiB = 8,192 pages (malloc.go heapArenaBytes) = 16 chunks of 512 pages (mpagealloc.go pallocChunkPages)
#pragma once

#include <cstddef>
#include <cstdint>

namespace memwhy::goruntime {

constexpr uint64_t kGoPageBytes = 8192;
constexpr uint64_t kArenaBytes = 64 << 20;
constexpr uint64_t kArenaPages = kArenaBytes / kGoPageBytes;
constexpr uint64_t kChunkPagesGo = 512;
constexpr uint64_t kChunkBytesGo = kChunkPagesGo * kGoPageBytes;
constexpr uint64_t kChunkL2Bits = 13;
constexpr uint64_t kHeapEnd = uint64_t{1}
                              << 47;    // addresses of a heap are below (arenaBaseOffset, heapAddrBits)
constexpr uint64_t kSummaryLevels = 5;  // a slice of each: mheap.pages.summary
constexpr uint64_t kSpanClasses = 136;  // 68 sizes, with and without pointers

}  // namespace memwhy::goruntime
