// SPDX-License-Identifier: Apache-2.0
// Finds the state of glibc's malloc in a process without symbols, and verifies it: what fails is not returned. What is free
// in it is not read here.
//
//   words of libc's .data     ... 0x7f..c8cc0 0x7f..c8cc0 0x7f..c8cd0 0x7f..c8cd0 ...    pairs that point 16 bytes before themselves:
//                             an empty bin is one; the place with most of them in 127 pairs is `bins`
//   self-test                 `next` leads from arena to arena and back; 127 bins are empty or lead into writable memory;
//                             top is a chunk of the arena; the heaps of an arena sum to what it has from the system
#pragma once

#include <string_view>
#include <vector>

#include "allocators/glibc.h"
#include "allocators/heap_memory.h"

namespace memwhy::allocators {

// "/usr/lib/x86_64-linux-gnu/libc.so.6", "/opt/libc-2.31.so"; also musl's, which has no main_arena.
bool is_libc(std::string_view path);

struct Search {
  std::vector<Glibc> found;  // arenas verified, regions of arenas that are not the main one known
  bool rejected = false;     // something looked like one, and did not pass its self-test
};
// In the data of mapped libraries that are called libc. `everywhere`: in that of other files (static programs).
Search find_glibc(HeapMemory& memory, bool everywhere);

// The arenas of this moment: `libc.arenas` anew. false: its main arena does not pass any more.
bool read_arenas(HeapMemory& memory, Glibc& libc);
// Settings, if they can be distinguished from other words.
void read_par(HeapMemory& memory, Glibc& libc);

}  // namespace memwhy::allocators
