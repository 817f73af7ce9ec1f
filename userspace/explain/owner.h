// SPDX-License-Identifier: Apache-2.0
// Owner: who holds a resident page; the leaves of the ledger. Ids are stable and part of the JSON format.
// Not the decision (owners.h). Leaves are added here, never renamed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "events/go_runtime.h"

namespace memwhy::explain {

enum class Owner : uint8_t {
  kGoHeapLive,
  kGoHeapUnmarked,
  kGoHeapFragmentation,
  kGoHeapIdle,
  kGoHeapReleasedResident,
  kGoHeapUnclassified,
  kGoStacks,
  kGoRuntimeMetadata,
  kGoRuntimeProfiler,
  kGoRuntimeGcWork,
  kRaceShadow,
  kRaceMeta,
  kRaceInternal,
  kCHeapUnclassified,
  kThreadStacks,
  kMainStack,
  kFileText,
  kFilePrivate,
  kFileShared,
  kShmem,
  kAnonOther,
  kAnonBeforeAttach,
  kUnattributed,
};
constexpr size_t kOwnerCount = 23;

struct OwnerName {
  std::string_view id;
  std::string_view label;   // a short sentence for people
  std::string_view family;  // lines that one cause answers for together: race, file, shmem …
};

inline const OwnerName& owner_name(Owner owner) {
  static constexpr std::array<OwnerName, kOwnerCount> kNames = {{
      {"go.heap.live", "Go objects that the last collection found in use", "go.heap"},
      {"go.heap.unmarked", "Go objects allocated since, or dead and not yet swept", "go.heap"},
      {"go.heap.fragmentation", "free slots and tails in Go spans that are in use", "go.heap"},
      {"go.heap.idle", "free Go spans that were not given back to the system", "go.heap"},
      {"go.heap.released_resident", "given back by Go, yet still resident (MADV_FREE, huge pages)",
       "go.heap"},
      {"go.heap.unclassified", "Go heap whose tables were not read, or moved meanwhile", "go.heap"},
      {"go.stacks", "stacks of goroutines", "go.stacks"},
      {"go.runtime.metadata", "the Go runtime's own tables", "go.runtime"},
      {"go.runtime.profiler", "buckets of Go's own profiles (heap, block, mutex)", "go.runtime"},
      {"go.runtime.gc_work", "work buffers of the Go collector", "go.runtime"},
      {"race.shadow", "race detector: shadow of all memory that Go ever used", "race"},
      {"race.meta", "race detector: table of blocks and sync objects", "race"},
      {"race.internal", "race detector: traces, clocks, call stacks, globals (with .bss)", "race"},
      {"c.heap.unclassified", "C heap (brk, arenas, mapped chunks); arenas were not read", "c.heap"},
      {"thread.stacks", "stacks of threads", "thread.stacks"},
      {"main.stack", "stack of the main thread", "main.stack"},
      {"file.text", "pages of files, mapped privately (code, constants)", "file"},
      {"file.private", "copies of file pages that were written, and .bss", "file"},
      {"file.shared", "pages of files, mapped shared", "file"},
      {"shmem", "shared memory (memfd, tmpfs, SysV, shared anonymous)", "shmem"},
      {"anon.other", "anonymous memory, known by stack or VMA name", "anon"},
      {"anon.before_attach", "there before memwhy attached; only its address is known", "before_attach"},
      {"unattributed", "born after attach, and nobody saw how", "unattributed"},
  }};
  return kNames[static_cast<size_t>(owner)];
}

// What the runtime's own tables say of a page. Pages of spans of objects count as live until split_go_heap().
inline Owner owner_of_go_page(events::GoPage page) {
  switch (page) {
    case events::GoPage::kHeap:
      return Owner::kGoHeapLive;
    case events::GoPage::kStack:
      return Owner::kGoStacks;
    case events::GoPage::kWork:
      return Owner::kGoRuntimeGcWork;
    case events::GoPage::kIdle:
      return Owner::kGoHeapIdle;
    case events::GoPage::kReleased:
      return Owner::kGoHeapReleasedResident;
    case events::GoPage::kProfiler:
      return Owner::kGoRuntimeProfiler;
    case events::GoPage::kNone:
    case events::GoPage::kUnknown:
      break;
  }
  return Owner::kGoHeapUnclassified;
}

// Bytes for each owner, indexed by Owner.
using OwnerBytes = std::array<uint64_t, kOwnerCount>;
inline uint64_t& of(OwnerBytes& bytes, Owner owner) { return bytes[static_cast<size_t>(owner)]; }
inline uint64_t of(const OwnerBytes& bytes, Owner owner) { return bytes[static_cast<size_t>(owner)]; }

// Parts the resident bytes of spans of objects, all counted as live so far, by the state of their slots. What the tables
// and the scan do not agree on stays on a line of its own.
inline void split_go_heap(const events::GoHeap* heap, OwnerBytes& bytes) {
  if (heap == nullptr) return;
  uint64_t live = 0, unmarked = 0, free = 0;
  for (const events::GoRun& run : heap->runs) {
    live += run.live_bytes;
    unmarked += run.unmarked_bytes;
    free += run.free_bytes;
  }
  uint64_t rest = of(bytes, Owner::kGoHeapLive);
  const auto take = [&rest](uint64_t wanted) {
    const uint64_t taken = wanted < rest ? wanted : rest;
    rest -= taken;
    return taken;
  };
  of(bytes, Owner::kGoHeapLive) = take(live);
  of(bytes, Owner::kGoHeapUnmarked) += take(unmarked);
  of(bytes, Owner::kGoHeapFragmentation) += take(free);
  of(bytes, Owner::kGoHeapUnclassified) += rest;
}

}  // namespace memwhy::explain
