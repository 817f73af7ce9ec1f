// SPDX-License-Identifier: Apache-2.0
#include "html/document.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/gzip.h"
#include "html/bundle.h"

namespace memwhy::html {
namespace {

std::string compressed(std::string_view bytes) {
  std::string out;
  GzipStream packed(GzipStream::Effort::kBest, [&out](std::string_view piece) { out += piece; });
  packed.put(bytes);
  packed.finish();
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
