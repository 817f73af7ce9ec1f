// SPDX-License-Identifier: Apache-2.0
// What glibc has besides its arenas: chunks in mappings of their own, and caches of threads, with chunks that look used.
#pragma once

#include "allocators/glibc.h"
#include "allocators/heap_memory.h"

namespace memwhy::allocators {

// mp_ knows their number and bytes; they are searched until both agree: where mappings begin, after each that was found,
// then page by page within limits.
void find_mapped_chunks(HeapMemory& memory, Glibc& libc);

// Thread control blocks, by what they look like: at the upper ends of stacks, in small mappings, and in the list of threads.
std::vector<uint64_t> find_threads(HeapMemory& memory);
// In the 4 KiB below a thread's control block one word points at its cache.
void read_tcaches(HeapMemory& memory, const std::vector<uint64_t>& threads, Glibc& libc);

}  // namespace memwhy::allocators
