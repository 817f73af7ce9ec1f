// SPDX-License-Identifier: Apache-2.0
// Probes on malloc and its kind, for a few calls: what a hit reports (an event), and what to probe (not an event: app/ finds the
// sites, probe/ attaches them). Which caller allocates which size; not what is in use: frees are not recorded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/probed_process.h"

namespace memwhy::events {

// `stack` begins with the caller, at the call.
struct AllocationCall {
  SpaceId space{};
  Pid tid = 0;
  uint64_t bytes = 0;  // that the caller wants
  StackId stack{};
  uint64_t tick = 0;
  bool operator==(const AllocationCall&) const = default;
};

// The first instruction of a function, or the one after endbr64, which the kernel emulates.
struct AllocationSite {
  std::string function;  // "calloc"
  uint64_t offset = 0;   // in the file
  uint64_t address = 0;  // in the process
  uint8_t byte = 0;      // original byte, without a probe
  // Numbers as in include/memwhy/abi/event.h.
  enum class Bytes : uint8_t { kFirst, kSecond, kThird, kFirstTimesSecond } bytes = Bytes::kFirst;
};

// The code of every site was read in the process and is that of the file.
struct AllocationProbePlan : ProbedProcess {
  std::string name;  // of the file: "libc.so.6"
  std::vector<AllocationSite> sites;
};

}  // namespace memwhy::events
