// SPDX-License-Identifier: Apache-2.0
// ByteCursor: reads values one after the other out of bytes in memory. Past the end it gives zeros, and ok() is false for good.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace memwhy::symbols {

class ByteCursor {
 public:
  explicit ByteCursor(std::span<const uint8_t> bytes, size_t at = 0)
      : bytes_(bytes), at_(at), ok_(at <= bytes.size()) {}

  bool ok() const { return ok_; }
  bool done() const { return !ok_ || at_ == bytes_.size(); }
  size_t at() const { return at_; }

  template <typename T>
  T number() {
    T value{};
    if (!ok_ || bytes_.size() - at_ < sizeof value) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  // What does not fit into 64 bits is lost: its bytes are read, and no more than ten.
  uint64_t unsigned_leb() {
    unsigned bits = 0;
    return leb(&bits);
  }
  int64_t signed_leb() {
    unsigned bits = 0;
    uint64_t value = leb(&bits);
    if (bits < 64 && bits > 0 && (value >> (bits - 1) & 1) != 0) value |= ~uint64_t{0} << bits;
    return static_cast<int64_t>(value);
  }
  std::span<const uint8_t> take(uint64_t count) {
    if (!ok_ || count > bytes_.size() - at_) {
      ok_ = false;
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  // Up to its NUL, which is read.
  std::string_view text() {
    const size_t from = at_;
    while (number<uint8_t>() != 0) {
    }
    if (!ok_) return {};
    return {reinterpret_cast<const char*>(bytes_.data()) + from, at_ - 1 - from};
  }

 private:
  uint64_t leb(unsigned* bits) {
    uint64_t value = 0;
    for (*bits = 0; *bits < 70;) {
      const auto byte = number<uint8_t>();
      if (*bits < 64) value |= static_cast<uint64_t>(byte & 0x7f) << *bits;
      *bits += 7;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }

  std::span<const uint8_t> bytes_;
  size_t at_;
  bool ok_;
};

}  // namespace memwhy::symbols
