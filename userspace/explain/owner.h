// SPDX-License-Identifier: Apache-2.0
// Owner: what holds a resident page; the leaves of the ledger. Ids are stable and part of the JSON format.
// Not the decision (owners.h). Leaves are added here or by registration, never renamed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

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
  kCHeapUsed,
  kCHeapFree,
  kCHeapUnclassified,
  kThreadStacks,
  kThreadStacksEnded,
  kMainStack,
  kProgramData,
  kFileText,
  kFilePrivate,
  kFileShared,
  kShmem,
  kJavaHeap,
  kJsHeap,
  kAnonOther,
  kAnonMapped,
  kAnonBeforeAttach,
  kUnattributed,
};
constexpr size_t kBuiltInOwners = 30;
// Further ones are added by registration (owner_table.h), which has the names of all.
constexpr size_t kOwnerCount = 48;

struct OwnerName {
  std::string_view id;
  std::string_view label;   // a short sentence for people
  std::string_view family;  // lines that one cause answers for together: race, file, shmem …
};

// Of a built-in owner.
inline const OwnerName& owner_name(Owner owner) {
  static constexpr std::array<OwnerName, kBuiltInOwners> kNames = {{
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
      {"c.heap.used", "C heap that the program has allocated and not freed", "c.heap"},
      {"c.heap.free", "C heap that the allocator keeps free", "c.heap"},
      {"c.heap.unclassified", "C heap (brk, arenas, mapped chunks); arenas were not read", "c.heap"},
      {"thread.stacks", "stacks of threads", "thread.stacks"},
      {"thread.stacks.ended", "stacks of threads that have ended, not given back", "thread.stacks"},
      {"main.stack", "stack of the main thread", "main.stack"},
      {"program.data", "variables of the program and its libraries (.data, .bss), written", "program.data"},
      {"file.text", "pages of files, mapped privately (code, constants)", "file"},
      {"file.private", "copies of file pages that were written", "file"},
      {"file.shared", "pages of files, mapped shared", "file"},
      {"shmem", "shared memory (memfd, tmpfs, SysV, shared anonymous)", "shmem"},
      {"java.heap", "heap of Java objects (JVM)", "java.heap"},
      {"js.heap", "heap of JavaScript objects (V8)", "js.heap"},
      {"anon.other", "anonymous memory, known by stack or VMA name", "anon"},
      {"anon.mapped", "mapped outside of every heap that was read, before memwhy attached", "anon"},
      {"anon.before_attach", "there before memwhy attached; only its address is known", "before_attach"},
      {"unattributed", "born after attach, and nobody saw how", "unattributed"},
  }};
  return kNames[static_cast<size_t>(owner)];
}

// Bytes for each owner, indexed by Owner.
using OwnerBytes = std::array<uint64_t, kOwnerCount>;
inline uint64_t& of(OwnerBytes& bytes, Owner owner) { return bytes[static_cast<size_t>(owner)]; }
inline uint64_t of(const OwnerBytes& bytes, Owner owner) { return bytes[static_cast<size_t>(owner)]; }

}  // namespace memwhy::explain
