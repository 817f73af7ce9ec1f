// SPDX-License-Identifier: Apache-2.0
#include "html/document.h"

#include <zlib.h>

#include <array>
#include <cstdint>
#include <new>
#include <utility>

#include "html/bundle.h"

namespace memwhy::html {
namespace {

constexpr int kGzip = 16 + MAX_WBITS;  // zlib writes no time and no name into its header
constexpr size_t kPiece = size_t{1} << 16;
constexpr size_t kMostAtOnce = size_t{1} << 30;  // zlib counts in 32 bits

std::string compressed(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();  // the only way in which it fails
  std::string out;
  std::array<char, kPiece> piece{};
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const std::string_view next = bytes.substr(0, kMostAtOnce);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(next.data()));  // zlib does not write it
      stream.avail_in = static_cast<uInt>(next.size());
      bytes.remove_prefix(next.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = kPiece;
    result = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
    out.append(piece.data(), kPiece - stream.avail_out);
  }
  deflateEnd(&stream);
  return out;
}

void add_base64(std::string_view bytes, std::string& out) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t there = std::min<size_t>(3, bytes.size() - i);
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k)
      three = three << 8 | (k < there ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= there ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
}

}  // namespace

Block packed(std::string id, std::string_view json) {
  Block block{std::move(id), {}};
  add_base64(compressed(json), block.text);
  return block;
}

std::string document(const std::vector<Block>& blocks) {
  std::string out(page_head());
  for (const Block& block : blocks) {
    out += "<script type=\"application/octet-stream\" id=\"";
    out += block.id;
    out += "\">";
    out += block.text;
    out += "</script>\n";
  }
  out += page_tail();
  return out;
}

}  // namespace memwhy::html
