// SPDX-License-Identifier: Apache-2.0
#include "export/output.h"

#include <zlib.h>

#include <array>
#include <new>

namespace memwhy::exports {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr int kGzip = 15 + 16;  // zlib: the largest window, with gzip's header and trailer

}  // namespace

void Output::put(std::string_view bytes) {
  waiting_ += bytes;
  if (waiting_.size() >= kPiece) flush();
}

void Output::flush() {
  if (status_ && !waiting_.empty()) status_ = sink_(waiting_);
  waiting_.clear();
}

Status Output::finish() {
  flush();
  return std::move(status_);
}

struct Gzip::Stream {
  z_stream z{};
  Stream() {
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Stream() { deflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

Gzip::Gzip(Output& into)
    : into_(into), stream_(std::make_unique<Stream>()), plain_([this](std::string_view bytes) {
        deflate(bytes, false);
        return Status{};
      }) {}
Gzip::~Gzip() = default;

void Gzip::deflate(std::string_view bytes, bool last) {
  std::array<char, kPiece> packed;
  z_stream& z = stream_->z;
  // zlib does not write to what it reads.
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // NOLINT
  z.avail_in = static_cast<uInt>(bytes.size());
  do {
    z.next_out = reinterpret_cast<Bytef*>(packed.data());
    z.avail_out = packed.size();
    ::deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
    into_.put({packed.data(), packed.size() - z.avail_out});
  } while (z.avail_out == 0);
}

void Gzip::finish() {
  const Status whole = plain_.finish();  // its sink does not fail
  if (whole) deflate({}, true);
}

}  // namespace memwhy::exports
