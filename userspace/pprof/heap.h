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

namespace memwhy::pprof {

struct HeapSample {
  uint64_t bytes = 0;
  std::vector<std::string> frames;  // "func (file:line)", innermost first, at most 128
};

struct HeapProfile {
  uint64_t inuse_bytes = 0;
  std::vector<HeapSample> samples;  // heaviest first, at most 64
};

// kBadInput: not gzip or protobuf, larger than 1 GiB, a profile without inuse_space, or a sum that is no number.
Result<HeapProfile> read_heap(std::span<const std::byte> file);

}  // namespace memwhy::pprof
