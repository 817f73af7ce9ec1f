// SPDX-License-Identifier: Apache-2.0
// Chunks: sealing one for the file, and walking a file chunk by chunk past whatever is damaged.
//
//   |header|payload|  |heXder|payload|  |header|payl
//    kChunk            kDamage: to the    kDamage at_tail: the last write was cut off, or damaged
//                      next whole chunk
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "trace/format.h"
#include "trace/source.h"

namespace memwhy::trace {

uint64_t hash_of(const FileHeader& header);

class ChunkSealer {
 public:
  // Header and payload as they go into the file; valid until the next call. Fills in the lengths, the
  // compression flag and the hash. Precondition: raw is at most kMaxRawBytes.
  std::string_view seal(ChunkHeader header, std::string_view raw);

 private:
  std::string bytes_;
};

struct ChunkStep {
  enum class What { kChunk, kDamage, kEnd } what = What::kEnd;
  uint64_t offset = 0;
  uint64_t bytes = 0;    // header and payload; the length of the damage
  ChunkHeader header;    // kChunk only
  bool at_tail = false;  // kDamage that no whole chunk follows
  bool cut = false;      // at_tail, and the bytes are the beginning of a chunk
  uint64_t starts = 0;   // kDamage: chunk magics in it
};

class ChunkWalk {
 public:
  ChunkWalk(const ByteSource& source, uint64_t first_offset) : source_(source), offset_(first_offset) {}

  ChunkStep next();
  // The payload of the chunk that next() gave last, decompressed; valid until next().
  Result<std::string_view> payload();

 private:
  bool whole_chunk_at(uint64_t offset, ChunkHeader& header);
  uint64_t next_magic(uint64_t from);

  const ByteSource& source_;
  uint64_t offset_;
  uint64_t wasted_ = 0;  // bytes that were hashed in vain: bounded, so that a file of nothing but magics ends
  std::string stored_, raw_;
  std::string window_;  // the part of the file that is searched for magics
  uint64_t window_offset_ = 0;
  ChunkHeader header_;
  // Set when damage was stepped over and the chunk behind it is already verified.
  bool verified_ = false;
};

}  // namespace memwhy::trace
