// SPDX-License-Identifier: Apache-2.0
// Budget: how much work may be done on a file from an untrusted source.
//
// What it is: a number that every read draws on (BlockCache, byte_source.h). The parsers have no loop that does
// not read, so that what a file claims about itself (segments, candidates, functions, relocations, levels of
// inlining) cannot cost more than was allowed, however its claims multiply. What it is not: a clock; the same
// file costs the same everywhere. A refused reader reads nothing more, and reports it (BinaryFacts::problem).
//
//   allow(384 MiB) … spend(64) spend(16 KiB) … spend(…) -> false: used up, and it stays so until allow() is called
#pragma once

#include <cstdint>
#include <limits>

namespace memwhy::symbols {

class Budget {
 public:
  // What reads cost, in bytes that are copied from a file that is in memory (about a quarter of a nanosecond each).
  static constexpr uint64_t kRead = 64;       // any read
  static constexpr uint64_t kParsedByte = 8;  // of a small read: the caller looks at each byte
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  void allow(uint64_t work) {
    left_ = work;
    used_up_ = false;
  }
  bool spend(uint64_t work) {
    if (work > left_) used_up_ = true;
    if (used_up_) return false;
    if (left_ != kUnlimited) left_ -= work;
    return true;
  }
  bool used_up() const { return used_up_; }
  uint64_t left() const { return used_up_ ? 0 : left_; }

 private:
  uint64_t left_ = kUnlimited;
  bool used_up_ = false;
};

}  // namespace memwhy::symbols
