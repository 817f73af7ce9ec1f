// SPDX-License-Identifier: Apache-2.0
// How sentences speak of a size of malloc's chunks: of small ones each size is counted, of large ones what is between two powers of 2.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/text.h"

namespace memwhy::explain {

inline std::string size_text(uint64_t chunk_bytes) {
  return chunk_bytes < kPageBytes
             ? fmt::format("chunks of {} bytes", chunk_bytes)
             : fmt::format("chunks of {} to {}", human_bytes(chunk_bytes), human_bytes(2 * chunk_bytes));
}

// The sizes of chunks are what was asked for: more than what is resident where part of them was never written to.
inline std::string virtual_text(uint64_t chunks, uint64_t resident) {
  return chunks > resident ? human_bytes(chunks) + " virtual" : human_bytes(chunks);
}

}  // namespace memwhy::explain
