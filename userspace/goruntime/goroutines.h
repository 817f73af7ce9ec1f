// SPDX-License-Identifier: Apache-2.0
// Every goroutine of a live Go program: what it waits for, since when, from where it was started, and its
// stack by frame pointers. Read without a stop: one that was running or moved meanwhile has no frames.
#pragma once

#include <cstdint>
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

struct Goroutine {
  uint64_t address = 0;  // of its g
  uint64_t id = 0;
  GoroutineStatus status{};
  std::string_view
      wait_reason;  // as the runtime prints it; "" not waiting, or a number that the layout lacks
  uint64_t waiting_since_ns =
      0;  // CLOCK_MONOTONIC, of the first collection after it blocked; 0: no collection since
  uint64_t created_at = 0;     // return address of the go statement; 0 main
  uint64_t entry = 0;          // its function
  AddressRange stack;          // empty: none
  uint64_t stack_pointer = 0;  // where a parked goroutine's stack begins to matter
  std::vector<uint64_t>
      frames;  // innermost first; the first is an instruction, the others are return addresses
};

struct GoroutineList {
  std::vector<Goroutine> goroutines;  // dead ones are left out
  uint64_t unread = 0;                // not resident: nothing is known of them
};

// kIncomplete: the list was not found or could not be read.
Result<GoroutineList> read_goroutines(remote::RemoteMemory& memory, const Globals& globals);

}  // namespace memwhy::goruntime
