// SPDX-License-Identifier: Apache-2.0
// GoSequence: reads a sequence of a Go line table's pctab bytewise, in pieces.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "symbols/byte_source.h"

namespace memwhy::symbols {

class GoSequence {
 public:
  GoSequence(ByteSource& source, uint64_t at, uint64_t end) : source_(source), at_(at), end_(end) {}

  std::optional<uint32_t> varint() {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      if (next_ == held_ && !refill()) return std::nullopt;
      const uint8_t byte = piece_[next_++];
      value |= static_cast<uint32_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

 private:
  bool refill() {
    const uint64_t take = std::min<uint64_t>(piece_.size(), end_ > at_ ? end_ - at_ : 0);
    if (take == 0 || !source_.read_at(at_, std::as_writable_bytes(std::span(piece_.data(), take))))
      return false;
    at_ += take;
    held_ = take;
    next_ = 0;
    return true;
  }

  ByteSource& source_;
  uint64_t at_, end_;
  std::array<uint8_t, 256> piece_{};
  uint64_t held_ = 0, next_ = 0;
};

}  // namespace memwhy::symbols
