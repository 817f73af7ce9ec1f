// SPDX-License-Identifier: Apache-2.0
#include "base/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace memwhy {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr size_t kMostAtOnce = size_t{1} << 30;  // zlib counts in 32 bits
constexpr int kGzip = MAX_WBITS + 16;            // zlib: the largest window, with gzip's header and trailer

}  // namespace

struct GzipStream::State {
  z_stream z{};
  explicit State(int level) {
    if (deflateInit2(&z, level, Z_DEFLATED, kGzip, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();  // the only way in which it fails
  }
  ~State() { deflateEnd(&z); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

GzipStream::GzipStream(Effort effort, Sink sink)
    : sink_(std::move(sink)),
      state_(std::make_unique<State>(effort == Effort::kBest ? Z_BEST_COMPRESSION : Z_DEFAULT_COMPRESSION)) {}
GzipStream::~GzipStream() = default;

void GzipStream::put(std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kMostAtOnce)))
    deflate(bytes.substr(0, kMostAtOnce), false);
}

void GzipStream::finish() { deflate({}, true); }

void GzipStream::deflate(std::string_view bytes, bool last) {
  std::array<char, kPiece> packed;  // filled by zlib
  z_stream& z = state_->z;
  // zlib does not write to what it reads.
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // NOLINT
  z.avail_in = static_cast<uInt>(bytes.size());
  do {
    z.next_out = reinterpret_cast<Bytef*>(packed.data());
    z.avail_out = packed.size();
    ::deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
    sink_({packed.data(), packed.size() - z.avail_out});
  } while (z.avail_out == 0);
}

}  // namespace memwhy
