// SPDX-License-Identifier: Apache-2.0
// Events about the Go runtime of a process, as read out of its own tables without stopping it. Raw inputs:
// what it counts, what its goroutines wait for; conclusions are drawn in explain/. Its use of each page is a RuntimePages
// (runtime.h), as for any runtime.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace memwhy::events {

// How far what follows can be believed.
enum class GoLayout : uint8_t {
  kTable,       // measured layout of this release, and the self-test agreed
  kUnverified,  // a layout was tried, and the self-test did not agree: nothing of it is used
  kNone,        // no layout, or the tables were not found: the OS view only
  kDwarf,       // as kTable, of a release that was not measured: from the program's own debug information
};

// What was read with it can be used.
constexpr bool trusted(GoLayout layout) { return layout == GoLayout::kTable || layout == GoLayout::kDwarf; }

constexpr const char* kGoRuntime = "go";  // RuntimePages::runtime

// What the runtime holds a page for: index into the uses of its RuntimePages.
enum class GoUse : uint8_t {
  kHeap,      // in a span of objects: RuntimeRun has how much of it is in use
  kStack,     // goroutine stacks
  kWork,      // the collector's work buffers
  kIdle,      // free, not given back to the system
  kReleased,  // free, given back; resident only by MADV_FREE or a huge page
  kUnknown,   // caught in motion
  kProfiler,  // not of the heap: at least half of it are buckets of the runtime's own profiles
};
inline constexpr std::array kGoUseNames = {"heap",     "stack",   "work",    "idle",
                                           "released", "unknown", "profiler"};

// The runtime's own counters, virtual bytes; names as in runtime/metrics where it has one.
struct GoCounters {
  uint64_t heap_in_use_bytes = 0, heap_free_bytes = 0, heap_released_bytes = 0, mapped_bytes = 0;
  uint64_t stack_bytes = 0, work_buffer_bytes = 0;
  uint64_t live_bytes = 0;       // marked by the last collection
  uint64_t allocated_bytes = 0;  // since start
  uint64_t freed_bytes = 0;
  uint64_t goal_bytes = 0;         // of the heap, by GOGC and the limit; see has_goal
  uint64_t metadata_bytes = 0;     // mspan, mcache and gc
  uint64_t profiler_bytes = 0;     // profile buckets
  int64_t memory_limit_bytes = 0;  // INT64_MAX: none
  int32_t gc_percent = 0;          // -1: off
  uint32_t gc_cycles = 0;          // completed
  uint64_t other_bytes = 0;        // of the runtime's own besides: buffers of the execution tracer, plugins
  bool operator==(const GoCounters&) const = default;
};

// Without a limit GOGC=off is no goal at all: 0, or all ones as recordings once had it: no address
// space is as large.
constexpr bool has_goal(uint64_t goal_bytes) { return goal_bytes != 0 && goal_bytes >> 56 == 0; }

// How long a collection stopped the world: the total of its pauses.
struct GoPause {
  uint32_t collection = 0;  // the first of the program is 1
  uint64_t end_unix_ns = 0, pause_ns = 0;
  bool operator==(const GoPause&) const = default;
};

struct GoSizeClass {
  uint64_t object_bytes = 0, objects = 0;
  bool operator==(const GoSizeClass&) const = default;
};

// What was allocated since the program started, the dead included. Objects of a class are counted when a thread fills its
// cache again, not one by one.
struct GoAllocations {
  std::vector<GoSizeClass> small;  // classes that were used, smallest first
  uint64_t large_bytes = 0, large_objects = 0;
  bool operator==(const GoAllocations&) const = default;
};

// Polled at 1 Hz.
struct GoStatistics {
  SpaceId space{};
  GoCounters counters;
  std::vector<GoPause> pauses;  // of collections that ended since the last poll; the runtime keeps 256
  std::optional<GoAllocations> allocations = std::nullopt;  // absent: not read, or caught in motion
  bool operator==(const GoStatistics&) const = default;
};

// How the tables were read that its RuntimePages of the same scan are from.
struct GoReading {
  SpaceId space{};
  uint64_t scan = 0;
  GoLayout layout = GoLayout::kNone;
  bool quiet = false;  // no counter moved while they were read
  uint64_t spans = 0, spans_in_motion = 0;
  GoCounters counters;
  bool operator==(const GoReading&) const = default;
};

struct GoBucket {
  uint64_t object_bytes = 0;
  uint64_t published_objects = 0, current_objects = 0;  // sampled: as pprof shows it; not yet swept
  std::vector<uint64_t> stack;                          // return addresses, innermost first
  bool operator==(const GoBucket&) const = default;
};

// The heap profile, from the runtime's buckets.
struct GoProfile {
  SpaceId space{};
  enum class Source : uint8_t { kBuckets, kOffInBinary, kUnreadable } source = Source::kUnreadable;
  uint64_t rate = 0;          // of sampling, in bytes; 0: off now, or unknown
  bool rate_assumed = false;  // the default, not read
  std::vector<GoBucket> buckets;
  // Neither was it read, nor can it be the default: what was sampled can't be scaled.
  bool rate_known() const { return rate != 0 || !rate_assumed; }
  bool operator==(const GoProfile&) const = default;
};

// A large object that a group of goroutines alone keeps.
struct GoKeptObject {
  uint64_t address = 0, bytes = 0;
  std::vector<uint64_t> allocated_at;  // empty: not sampled
  bool operator==(const GoKeptObject&) const = default;
};

// Goroutines with the same stack, wait reason and creation site.
struct GoGroup {
  uint64_t count = 0;
  std::string wait_reason;  // "chan send"; "" running, runnable or in a system call
  uint64_t created_at = 0;  // return address of the go statement; 0 main or the runtime
  std::vector<uint64_t> frames;
  uint64_t stack_bytes = 0;                   // reserved for their stacks
  TimeNs oldest_wait_ns = 0;                  // since when at least one waits; 0 unknown
  uint64_t kept_bytes = 0, kept_objects = 0;  // reachable from this group alone
  std::vector<GoKeptObject> large;
  uint64_t leaked = 0;  // of them, those that Go's own search for leaks (1.26 on) found last
  bool operator==(const GoGroup&) const = default;
};

// Finalizers of objects that a collection found dead; they wait to be run, one after the other.
struct GoFinalizers {
  uint64_t waiting = 0;                       // the one that runs included
  uint64_t kept_bytes = 0, kept_objects = 0;  // reachable from their objects alone
  bool operator==(const GoFinalizers&) const = default;
};

// From what a part of the heap hangs. A pinned object has no pointers, and all that refers to it is followed by a length,
// as of strings and slices, that is less than half of it:
//
//   match {data 0xc0'0040'1234, len 20} ──► text {0xc0'0040'0000, 256 KiB}      1 pinned object: 256 KiB for 20 bytes
struct GoHolder {
  enum class Kind : uint8_t { kVariable, kGoroutines, kFinalizers } kind = Kind::kVariable;
  std::string name;      // of a variable: "main.sessions"; "" unknown
  std::string used_by;   // of one without a name: functions whose code refers to it, "main.scan, main.show"
  uint64_t address = 0;  // of a variable
  uint64_t count = 0;    // of goroutines: with the same stack, wait reason and creation site
  uint64_t created_at = 0;          // as in GoGroup
  std::vector<uint64_t> frames;     // as in GoGroup
  uint64_t bytes = 0, objects = 0;  // reached from this holder alone
  uint64_t resident_bytes = 0;      // of `bytes`, by the last scan
  uint64_t also_bytes = 0;          // reached from it, nearest to it, and from others too
  std::vector<GoSizeClass> sizes;   // of `objects`: the largest by bytes, max 4
  std::vector<GoKeptObject> large;  // of `objects`: heaviest first
  uint64_t slots = 0, entries = 0;  // of a variable that is a map; no slots: it is none, or has no table
  uint64_t pinned = 0;              // of `objects`
  uint64_t pinned_bytes = 0, used_bytes = 0;  // of these: their size, and the lengths of what refers to them
  uint64_t pool_lists = 0;  // of a variable that is a sync.Pool: one list for each P; 0: it is none, or empty
  bool operator==(const GoHolder&) const = default;
};

// What the heap hangs from.
struct GoHeld {
  bool complete =
      false;  // false: the walk ended early: what is reached is certain, but others may reach it too
  uint64_t bytes = 0, objects = 0;  // reached from anything
  std::vector<GoHolder> holders;    // the largest by bytes, max 16
  bool operator==(const GoHeld&) const = default;
};

struct GoGoroutines {
  SpaceId space{};
  uint64_t count = 0;           // all but dead ones
  bool complete = true;         // false: the walk for kept_bytes ran out of its budget
  std::vector<GoGroup> groups;  // heaviest first; the tail beyond 256 is left out
  std::optional<GoFinalizers> finalizers =
      std::nullopt;                           // absent: the queue was not looked for, or not found
  std::optional<GoHeld> held = std::nullopt;  // read once, when the recording ends
  bool operator==(const GoGoroutines&) const = default;
};

}  // namespace memwhy::events
