// SPDX-License-Identifier: Apache-2.0
// Every goroutine of a live Go program: what it waits for, since when, from where it was started, and its
// stack by frame pointers. Read without a stop: one that was running, or moved during the reading, has no
// frames. There may be a million of them, nearly all with one of a few stacks: so they are read in order of address and in
// blocks, each stack is kept once, and each g is read once, however often the list names it.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "goruntime/globals.h"

namespace memwhy::goruntime {

enum class GoroutineStatus : uint8_t {
  kIdle,
  kRunnable,
  kRunning,
  kSyscall,
  kWaiting,
  kDead = 6,
  kCopyStack = 8,
  kPreempted = 9,
  kLeaked = 10,
  kExtraDead = 11
};

// It waits for something. Go's own search (the goroutine leak profile, from 1.26) moves those that nothing can wake to
// kLeaked, until the next search; all else of them stays.
constexpr bool waits(GoroutineStatus status) {
  return status == GoroutineStatus::kWaiting || status == GoroutineStatus::kLeaked;
}

// What goroutines have in common that do the same.
struct GoroutineKind {
  // As the runtime prints it; "" not waiting, or a number that the layout lacks.
  std::string_view wait_reason() const { return reason ? *reason : std::string_view(); }
  // Innermost first; the first is an instruction, the others are return addresses.
  std::span<const uint64_t> frames() const {
    return known_frames ? std::span<const uint64_t>(*known_frames) : std::span<const uint64_t>();
  }
  auto operator<=>(const GoroutineKind&) const = default;

  // Of the list's stacks: those that have the same frames have the same place.
  const std::vector<uint64_t>* known_frames = nullptr;
  const std::string_view* reason = nullptr;  // of the layout's
  uint64_t created_at = 0;                   // return address of the go statement; 0 main
  uint64_t entry = 0;                        // its function
  GoroutineStatus status{};
};

// 40 bytes: there may be a million of them.
struct Goroutine {
  AddressRange stack() const { return {stack_start, stack_start + stack_bytes}; }  // empty: none
  // Where a parked goroutine's stack begins to matter; its end: not known.
  uint64_t stack_pointer() const { return stack_start + (stack_bytes - used_bytes); }

  uint64_t address = 0;  // of its g
  uint64_t waiting_since_ns =
      0;  // CLOCK_MONOTONIC, of the first collection after it blocked; 0: no collection since
  uint64_t stack_start = 0;
  uint32_t stack_bytes = 0, used_bytes = 0;  // Go ends a program whose stack grows beyond 1 GB
  uint32_t id = 0;    // the low half of it: enough to see that a g has become another goroutine's
  uint32_t kind = 0;  // of the list's
};
static_assert(sizeof(Goroutine) == 40);

struct GoroutineList {
  const GoroutineKind& kind_of(const Goroutine& goroutine) const { return kinds[goroutine.kind]; }

  std::vector<Goroutine> goroutines;  // in order of address; dead ones are left out
  std::vector<GoroutineKind> kinds;   // each once
  uint64_t unread = 0;                // of them nothing is known: not resident, or cut
  uint64_t cut = 0;                   // of those, the ones for which the reading had no share left
  uint64_t list = 0;                  // address of the array
  std::vector<uint64_t> all;          // addresses of their g's, dead ones included; sorted
  std::vector<uint64_t> threads;      // the m's that some of them run on; sorted
  std::set<std::vector<uint64_t>> stacks;
};

// kAbsent: the list was not found or could not be read.
Result<GoroutineList> read_goroutines(remote::RemoteMemory& memory, const Globals& globals);

}  // namespace memwhy::goruntime
