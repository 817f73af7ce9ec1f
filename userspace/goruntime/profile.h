// SPDX-License-Identifier: Apache-2.0
// The heap profile of a live Go program without its endpoint: the runtime's own buckets, read from outside.
//
//   bucket { object 65,536 B, stack {main.load, main.job}, active 3 - 1 = 2, waiting cycles +1 }
//     in use as of the last published cycle: 2 objects (what pprof shows); sampled and not yet swept: 3
//   scaled as pprof scales: 1 / (1 - exp(-65536 / 524288)) = 8.51 → 17 objects, 1.1 MiB
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "goruntime/buckets.h"
#include "goruntime/globals.h"

namespace memwhy::goruntime {

struct ProfileBucket {
  uint64_t object_bytes = 0;
  uint64_t published_objects = 0;  // sampled, in use as of the last completed cycle: the view of pprof
  uint64_t current_objects = 0;    // sampled and not yet swept, garbage included: what RSS holds
  std::vector<uint64_t> stack;     // return addresses, innermost first
};

struct HeapProfile {
  uint64_t rate = 0;          // MemProfileRate: mean bytes between samples
  bool rate_assumed = false;  // it was not found; the default is taken
  std::vector<ProfileBucket> buckets;
  bool moved = false;  // a cycle was published while it was read, at every attempt
};

// nullopt: nothing was ever sampled (profiling is off, was linked out, or nothing was allocated). `sampler`: the code of
// runtime.profilealloc; empty: unknown.
Result<std::optional<HeapProfile>> read_profile(remote::RemoteMemory& memory, const Globals& globals,
                                                const BucketLists& lists, const AddressRange& sampler = {});

// Bytes in use as of the last published cycle, estimated.
double estimated_bytes(const HeapProfile& profile);

// Estimated number of objects for `sampled` of them, as runtime/pprof scales (protomem.go scaleHeapSample).
double scaled_objects(uint64_t sampled, uint64_t object_bytes, uint64_t rate);

}  // namespace memwhy::goruntime
