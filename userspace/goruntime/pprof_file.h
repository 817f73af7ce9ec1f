// SPDX-License-Identifier: Apache-2.0
// A heap profile that the user brings as a file (heap.pb.gz, from runtime/pprof or an endpoint). Only what the
// comparison with RSS needs: bytes in use by stack. Not a writer, and not a reader of other kinds of profile.
//
//   sample { location 3, 2; value 12, 786'432, 4, 262'144 }    sample types: … "inuse_objects", "inuse_space"
//   location 3 { line { function "main.load", line 41 } }  →  { 262'144 bytes, "main.load (main.go:41)", … }
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace memwhy::goruntime {

struct PprofSample {
  uint64_t bytes = 0;
  std::vector<std::string> frames;  // "func (file:line)", innermost first, at most 128
};

struct PprofHeap {
  uint64_t inuse_bytes = 0;
  std::vector<PprofSample> samples;  // heaviest first, at most 64
};

// kBadInput: not gzip or protobuf, larger than 1 GiB, a profile without inuse_space, or one whose sum is no number.
Result<PprofHeap> read_pprof_heap(std::span<const std::byte> file);

}  // namespace memwhy::goruntime
