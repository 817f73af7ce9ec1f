// SPDX-License-Identifier: Apache-2.0
// Probes on rare functions of the Go runtime: what a hit reports (an event), and what to probe (not an event: goruntime/
// finds the sites, probe/ attaches them).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "events/probed_process.h"

namespace memwhy::events {

// Numbers as in include/memwhy/abi/event.h. `bytes` of a call:
enum class GoFunction : uint8_t {
  kLargeAllocation,    // size of an object above 32 KiB
  kHeapGrow,           // the minimum that the page heap requests from the system
  kSampledAllocation,  // size of an object that the heap profile samples
  kScavenge,           // most that is to be given back
  kCollectionStart,    // 0
  kMarkEnd,            // 0
};
constexpr size_t kGoFunctions = 6;
constexpr std::array<const char*, kGoFunctions> kGoFunctionNames = {
    "large_allocation", "heap_grow", "sampled_allocation", "scavenge", "collection_start", "mark_end"};
constexpr const char* go_function_name(GoFunction function) {
  return kGoFunctionNames[static_cast<size_t>(function)];
}

// A probed function was entered. `stack` begins with its caller, at the call.
struct GoCall {
  SpaceId space{};
  Pid tid = 0;
  GoFunction function{};
  uint64_t bytes = 0;
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const GoCall&) const = default;
};

// One conditional jump of a stack check (symbols/stack_check.h).
struct GoSite {
  GoFunction function{};
  uint64_t offset = 0;   // in the file
  uint64_t address = 0;  // in the process
  uint8_t byte = 0;      // that is there when nothing is attached
  enum class Register : uint8_t { kNone, kBx, kCx } argument = Register::kNone;
  uint8_t shift = 0;  // bytes = argument << shift
};

// The code of every site was read in the process and is that of the file.
struct GoProbePlan : ProbedProcess {
  std::vector<GoSite> sites;
};

}  // namespace memwhy::events
