// SPDX-License-Identifier: Apache-2.0
// Which of an arena's memory is free: by its free lists while they are short, else by a walk over all of its chunks. Both fill
// Region::free and Region::trimmed. The memory is hostile: every size is checked, every loop ends.
//
//   lists   a page is read for each free chunk: 0.4 ms where nothing is free, 4.6 s for 3.7 million free chunks in any order
//   walk    each page is read once: 0.3 s for a GiB, never more
//   so      lists with a number of pages that they may read; when it is used up, the walk
#pragma once

#include "allocators/glibc.h"
#include "allocators/heap_memory.h"

namespace memwhy::allocators {

// Chunks of the fastbins, which are free but look used.
void read_fastbins(HeapMemory& memory, const Glibc& libc, Arena& arena);
// Whether the links of fastbins and tcaches are protected (2.32 and later), which the end of any list shows.
bool guess_safe_linking(HeapMemory& memory, const Glibc& libc);

// false: the lists are longer than `most_pages`, or inconsistent each time; then nothing of them is kept but Arena::known.
bool read_free_lists(HeapMemory& memory, Arena& arena, uint64_t most_pages);
// `sizes`: of live chunks, added up.
void walk_chunks(HeapMemory& memory, Arena& arena, SizeClasses& sizes);

// Lists, or the walk. Regions are prepared here.
void read_free(HeapMemory& memory, Glibc& libc, Arena& arena);

// The memory of a main arena that is not, or not only, in [heap]: brk was refused, a second libc, huge pages. Searched in the
// mappings that hold top or binned chunks; regions are those that sum to what the arena has from the system.
void find_loose_regions(HeapMemory& memory, Arena& arena);

}  // namespace memwhy::allocators
