// SPDX-License-Identifier: Apache-2.0
// AllocatorWords: the words in sentences for each allocator behind malloc, and the call that returns its free
// memory. Not those of a language's own objects (CPython's), which have a rule of their own.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "explain/allocator_facts.h"

namespace memwhy::explain {

struct AllocatorWords {
  std::string_view allocator;  // as in events::AllocatorHeap
  std::string_view keeper;     // "malloc keeps ..."
  std::string_view call;       // gives free memory back now; "": there is none
  bool exact;               // how much of it is known; else there is only a ceiling, what is beyond the call
  bool decays;              // it gives free memory back by itself some seconds after it was freed
  std::string_view cost;    // of the call: "... it would return 9 MiB now, and takes ..."
  std::string_view beyond;  // of free memory that the call does not reach: "9 MiB are ..."
};

inline constexpr std::array<AllocatorWords, 5> kCHeaps = {{
    {"glibc", "malloc", "malloc_trim(0)", true, false,
     "takes 20 to 200 ms a GiB under the lock of each arena",
     "are where malloc_trim does not reach, at the top of arenas (or in another copy of glibc): they go when "
     "a large block there is freed"},
    {"jemalloc", "jemalloc", "mallctl(\"arena.4096.purge\", 0, 0, 0, 0)", true, true,
     "holds the lock of each arena; background_thread:true and a shorter dirty_decay_ms do the same, later",
     "are memory that jemalloc has given back and that is resident all the same"},
    {"tcmalloc", "tcmalloc", "MallocExtension::instance()->ReleaseFreeMemory()", true, false,
     "holds the lock of its page heap",
     "are memory that tcmalloc has given back and that is resident all the same"},
    {"mimalloc", "mimalloc", "mi_collect(true)", false, false, "works for the thread that calls it",
     "are free slices: mi_collect(true), called by each thread, returns at most those"},
    {"musl", "musl's malloc", "", false, false, "", "are free"},
}};

inline bool is_c_heap(std::string_view allocator) {
  return std::ranges::any_of(kCHeaps,
                             [&](const AllocatorWords& each) { return each.allocator == allocator; });
}

// nullptr: it is not behind malloc, or is unknown.
inline const AllocatorWords* words_of(const AllocatorFacts& facts) {
  const auto* const found = std::find_if(kCHeaps.begin(), kCHeaps.end(), [&](const AllocatorWords& each) {
    return each.allocator == facts.heap->allocator;
  });
  return found == kCHeaps.end() ? nullptr : found;
}

// Of the allocators behind malloc the one with most bytes, as `bytes_of` counts them; nullptr: none was read. There are two
// where a library brings its own.
template <typename BytesOf>
const AllocatorFacts* largest_c_heap(std::span<const AllocatorFacts> allocators, BytesOf bytes_of) {
  const AllocatorFacts* most = nullptr;
  for (const AllocatorFacts& facts : allocators)
    if (words_of(facts) != nullptr && (most == nullptr || bytes_of(facts) > bytes_of(*most))) most = &facts;
  return most;
}

}  // namespace memwhy::explain
