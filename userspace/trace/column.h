// SPDX-License-Identifier: Apache-2.0
// Columns: the same field of all rows stored side by side as varints, so that zstd finds what repeats.
//
// On the wire a column is a packed repeated field of protobuf: uint64 for values, sint64 (zigzag) for
// differences.
//
//   runs            page 0x7f1234605 +512, 0x7f1234805 +512, 0x7f1234b05 +3
//   page column     sint64 0x7f1234605, 0, 256      difference to where the run before ended
//   count column    uint64 512, 512, 3
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace memwhy::trace {

constexpr uint64_t zigzag(uint64_t difference) { return (difference << 1) ^ (0 - (difference >> 63)); }
constexpr uint64_t unzigzag(uint64_t coded) { return (coded >> 1) ^ (0 - (coded & 1)); }

// Addresses in pages: what is a multiple of 4 KiB is small, what is not keeps its low bits on top.
constexpr uint64_t in_pages(uint64_t bytes) { return std::rotr(bytes, 12); }
constexpr uint64_t from_pages(uint64_t pages) { return std::rotl(pages, 12); }

// The code of a shape of calls: the one of the row before, a new one, which stands in columns of its own, or from kKnown on
// the number of one that was new before.
constexpr uint64_t kSame = 0, kNew = 1, kKnown = 2;
// The code of a value in a column where few values come again and again: kSame (0 before the first row), or from kListed on
// its place in a column of all values, the greatest first: in order, the values themselves take few bytes.
constexpr uint64_t kListed = 1;

inline void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// The greatest value of each enumeration that is stored; a greater one in a file is damage.
template <typename E>
constexpr uint64_t kGreatest = std::numeric_limits<std::underlying_type_t<E>>::max();

// Every stored number as 64 bits and back. Signed numbers are zigzag coded, so that -1 is one byte.
template <typename T>
constexpr uint64_t to_wire(T value) {
  if constexpr (std::is_enum_v<T>) {
    return static_cast<uint64_t>(value);
  } else if constexpr (std::signed_integral<T>) {
    return zigzag(static_cast<uint64_t>(static_cast<int64_t>(value)));
  } else {
    return value;
  }
}

// false: does not fit the field.
template <typename T>
constexpr bool from_wire(uint64_t wire, T& value) {
  if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(wire);
    return wire <= kGreatest<T>;
  } else if constexpr (std::same_as<T, bool>) {
    value = wire != 0;
    return wire <= 1;
  } else if constexpr (std::signed_integral<T>) {
    const auto wide = static_cast<int64_t>(unzigzag(wire));
    value = static_cast<T>(wide);
    return value == wide;
  } else {
    value = static_cast<T>(wire);
    return value == wire;
  }
}

// Reads varints from bytes that anybody may have made. After the first thing that is wrong, next() gives 0
// and failed() stays true, so that a loop over rows needs one check.
class ColumnReader {
 public:
  ColumnReader() = default;
  explicit ColumnReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  uint64_t next() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {  // ten bytes at most
      if (next_ == end_) break;
      const auto byte = static_cast<uint8_t>(*next_++);
      if (shift == 63 && byte > 1) break;  // more than 64 bits
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    next_ = end_;
    return 0;
  }
  uint64_t next_difference() { return unzigzag(next()); }

  bool at_end() const { return next_ == end_; }
  size_t bytes_left() const { return static_cast<size_t>(end_ - next_); }
  void skip(size_t bytes) { next_ += bytes; }  // precondition: so many are left
  bool failed() const { return failed_; }
  // Number of whole varints that are left: an upper bound of rows that takes no more than the bytes there.
  size_t count_left() const {
    size_t count = 0;
    for (const char* byte = next_; byte != end_; ++byte) count += static_cast<uint8_t>(*byte) < 0x80;
    return count;
  }

 private:
  const char* next_ = nullptr;
  const char* end_ = nullptr;
  bool failed_ = false;
};

}  // namespace memwhy::trace
