// SPDX-License-Identifier: Apache-2.0
#include "trace/chunk.h"

#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "trace/column.h"

namespace memwhy::trace {
namespace {

// 1 is the fastest; higher levels take more of the target's machine and save little (columns are already
// small).
constexpr int kZstdLevel = 1;

constexpr size_t kSearchBytes = 1 << 20;  // how much of the file is searched for a magic at a time

// zstd has one code of symbols for a block, and each column has symbols of its own. Blocks do not show in the format.
constexpr size_t kShortestBlock = 512;
constexpr int kDepth = 3;  // of columns: in a list of rows, in a message, in the payload

// The ends of what may be columns. A guess: text may look like a message, which costs a block more and nothing else.
void find_columns(std::string_view raw, size_t offset, int depth, std::vector<size_t>& ends) {
  ColumnReader in(raw);
  while (!in.at_end()) {
    const uint64_t tag = in.next();
    const uint64_t bytes = in.next();  // of a field of bytes: its length; of a varint: itself
    if ((tag & 7) == 0 && !in.failed()) continue;
    if ((tag & 7) != 2 || bytes > in.bytes_left()) return;
    const size_t begin = raw.size() - in.bytes_left();
    if (bytes >= kShortestBlock) {
      ends.push_back(offset + begin);
      if (depth > 1) find_columns(raw.substr(begin, bytes), offset + begin, depth - 1, ends);
      ends.push_back(offset + begin + bytes);
    }
    in.skip(bytes);
  }
}

struct StreamDeleter {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

uint64_t hash_of_chunk(ChunkHeader header, std::string_view stored) {
  header.hash = 0;
  const std::unique_ptr<XXH3_state_t, StreamDeleter> state(XXH3_createState());
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), &header, sizeof header);
  XXH3_64bits_update(state.get(), stored.data(), stored.size());
  return XXH3_64bits_digest(state.get());
}

// One of each thread: it keeps up to 1.3 MiB for the largest chunk that it has seen, and an agent writes into many files.
ZSTD_CCtx* compressor() {
  struct Free {
    void operator()(ZSTD_CCtx* made) const { ZSTD_freeCCtx(made); }
  };
  thread_local const std::unique_ptr<ZSTD_CCtx, Free> own = [] {
    std::unique_ptr<ZSTD_CCtx, Free> made(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(made.get(), ZSTD_c_compressionLevel, kZstdLevel);
    return made;
  }();
  return own.get();
}

// One frame, with a block for each long column. nullopt: it did not shrink.
std::optional<size_t> compress(std::string_view raw, char* out) {
  std::vector<size_t> ends;
  find_columns(raw, 0, kDepth, ends);
  ends.push_back(raw.size());
  ZSTD_CCtx* const zstd = compressor();
  ZSTD_CCtx_reset(zstd, ZSTD_reset_session_only);
  ZSTD_CCtx_setPledgedSrcSize(zstd, raw.size());
  ZSTD_inBuffer in{raw.data(), 0, 0};
  ZSTD_outBuffer into{out, raw.size(), 0};
  for (const size_t end : ends) {
    if (end - in.size < kShortestBlock && end != raw.size()) continue;
    in.size = end;
    const size_t left = ZSTD_compressStream2(zstd, &into, &in, end == raw.size() ? ZSTD_e_end : ZSTD_e_flush);
    if (left != 0) return std::nullopt;  // an error, or no room left
  }
  if (into.pos == raw.size()) return std::nullopt;
  return into.pos;
}

}  // namespace

size_t ByteSource::read(uint64_t offset, char* out, size_t wanted) const {
  if (offset >= size_) return 0;
  wanted = static_cast<size_t>(std::min<uint64_t>(wanted, size_ - offset));
  if (!file_) {
    std::memcpy(out, bytes_.data() + offset, wanted);
    return wanted;
  }
  size_t done = 0;
  while (done < wanted) {
    const ssize_t got = ::pread(file_.get(), out + done, wanted - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;  // shrunk, or an I/O error: the bytes are not there, and the caller says so
    done += static_cast<size_t>(got);
  }
  return done;
}

uint64_t hash_of(const FileHeader& header) { return XXH3_64bits(&header, offsetof(FileHeader, hash)); }

std::string_view ChunkSealer::seal(ChunkHeader header, std::string_view raw) {
  bytes_.resize(sizeof header + raw.size());
  header.raw_bytes = header.stored_bytes = static_cast<uint32_t>(raw.size());
  const auto compressed = compress(raw, bytes_.data() + sizeof header);
  if (compressed) {
    header.flags |= kZstd;
    header.stored_bytes = static_cast<uint32_t>(*compressed);
  } else {
    std::copy(raw.begin(), raw.end(), bytes_.begin() + sizeof header);
  }
  const std::string_view stored(bytes_.data() + sizeof header, header.stored_bytes);
  header.hash = hash_of_chunk(header, stored);
  std::memcpy(bytes_.data(), &header, sizeof header);
  return {bytes_.data(), sizeof header + header.stored_bytes};
}

bool ChunkWalk::whole_chunk_at(uint64_t offset, ChunkHeader& header) {
  if (source_.read(offset, reinterpret_cast<char*>(&header), sizeof header) < sizeof header) return false;
  if (header.magic != kChunkMagic || header.stored_bytes > kMaxStoredBytes ||
      header.raw_bytes > kMaxRawBytes) {
    return false;
  }
  if (header.stored_bytes > source_.size() - offset - sizeof header) return false;
  stored_.resize(header.stored_bytes);
  const size_t got = source_.read(offset + sizeof header, stored_.data(), stored_.size());
  if (got == stored_.size() && hash_of_chunk(header, stored_) == header.hash) return true;
  wasted_ += got;
  return false;
}

// The offset of the next chunk magic at or after `from`; the size of the file when there is none.
uint64_t ChunkWalk::next_magic(uint64_t from) {
  const std::string_view magic(reinterpret_cast<const char*>(kChunkMagic.data()), kChunkMagic.size());
  while (from + magic.size() <= source_.size()) {
    if (from < window_offset_ || from + magic.size() > window_offset_ + window_.size()) {
      window_offset_ = from;
      window_.resize(kSearchBytes);
      window_.resize(source_.read(from, window_.data(), window_.size()));
      if (window_.size() < magic.size()) break;
    }
    const size_t at = std::string_view(window_).find(magic, from - window_offset_);
    if (at != std::string::npos) return window_offset_ + at;
    from = window_offset_ + window_.size() - (magic.size() - 1);  // it may straddle two windows
  }
  return source_.size();
}

ChunkStep ChunkWalk::next() {
  ChunkStep step;
  step.offset = offset_;
  if (offset_ >= source_.size()) return step;
  if (verified_ || whole_chunk_at(offset_, header_)) {
    verified_ = false;
    step.what = ChunkStep::What::kChunk;
    step.bytes = sizeof header_ + header_.stored_bytes;
    step.header = header_;
    offset_ += step.bytes;
    return step;
  }
  // The budget: sixteen times the file, so that magics planted in a payload can't make reading quadratic.
  const uint64_t most_wasted = std::max<uint64_t>(16 * source_.size(), kMaxRawBytes);
  const uint64_t start = offset_;
  const bool starts_with_magic = next_magic(start) == start;
  uint64_t at = start;
  step.what = ChunkStep::What::kDamage;
  step.starts = starts_with_magic ? 1 : 0;
  while (wasted_ <= most_wasted) {
    at = next_magic(at + 1);
    if (at >= source_.size()) break;
    if (whole_chunk_at(at, header_)) {
      verified_ = true;
      break;
    }
    ++step.starts;
  }
  offset_ = verified_ ? at : source_.size();
  step.bytes = offset_ - start;
  step.at_tail = !verified_;
  if (step.at_tail && starts_with_magic) {
    ChunkHeader header;
    const size_t got = source_.read(start, reinterpret_cast<char*>(&header), sizeof header);
    step.cut = got < sizeof header || header.stored_bytes > step.bytes - sizeof header;
  }
  return step;
}

Result<std::string_view> ChunkWalk::payload() {
  if ((header_.flags & kZstd) == 0) {
    if (header_.raw_bytes != header_.stored_bytes) return Error(ErrorCode::kBadInput, "its lengths differ");
    return std::string_view(stored_);
  }
  raw_.resize(header_.raw_bytes);
  const size_t size = ZSTD_decompress(raw_.data(), raw_.size(), stored_.data(), stored_.size());
  // Want of memory is no damage of the file.
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  if (ZSTD_isError(size) != 0 || size != raw_.size()) {
    return Error(ErrorCode::kBadInput, "its payload can't be decompressed");
  }
  return std::string_view(raw_);
}

}  // namespace memwhy::trace
