// SPDX-License-Identifier: Apache-2.0
// The bytes of messages between memwhy and its children: numbers as varints, texts and lists with their length, every length
// bounded by the reader. One list of fields serves both directions (messages.h).
//
//   number 300            ac 02
//   text "libc"           04 6c 69 62 63
//   list of two numbers   02 | 01 | 07
//
// The bytes may come from a child that a hostile file took over: a value that does not fit makes ok() false for good, and
// nothing is allocated beyond the bytes of the message.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace memwhy::files {

using Bytes = std::vector<std::byte>;

class Writer {
 public:
  template <typename T>
  void number(const T& value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    put(static_cast<uint64_t>(value));
  }
  // Longer ones are cut.
  void text(const std::string& value, size_t most) {
    const size_t bytes = std::min(value.size(), most);
    put(bytes);
    const auto* first = reinterpret_cast<const std::byte*>(value.data());
    out_.insert(out_.end(), first, first + bytes);
  }
  template <typename Byte>
  void bytes(const std::vector<Byte>& value, size_t most) {
    static_assert(sizeof(Byte) == 1);
    const size_t count = std::min(value.size(), most);
    put(count);
    const auto* first = reinterpret_cast<const std::byte*>(value.data());
    out_.insert(out_.end(), first, first + count);
  }
  template <typename T, typename Each>
  void list(const std::vector<T>& values, size_t most, Each each) {
    const size_t count = std::min(values.size(), most);
    put(count);
    for (size_t i = 0; i < count; ++i)
      each(*this, const_cast<T&>(values[i]));  // each() serves the reader too
  }
  template <typename T, typename Each>
  void optional(const std::optional<T>& value, Each each) {
    put(value ? 1 : 0);
    if (value) each(*this, const_cast<T&>(*value));
  }
  void flags(const std::vector<bool>& values, size_t most) {
    const size_t count = std::min(values.size(), most);
    put(count);
    for (size_t i = 0; i < count; ++i) put(values[i] ? 1 : 0);
  }

  const Bytes& out() const { return out_; }

 private:
  void put(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::byte>(value | 0x80));
    out_.push_back(static_cast<std::byte>(value));
  }
  Bytes out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}

  template <typename T>
  void number(T& value) {
    using Raw =
        typename std::conditional_t<std::is_enum_v<T>, std::underlying_type<T>, std::type_identity<T>>::type;
    const uint64_t got = take();
    if constexpr (std::is_signed_v<Raw>) {
      value = static_cast<T>(static_cast<Raw>(got));
    } else if constexpr (std::is_same_v<Raw, bool>) {
      if (got > 1) failed_ = true;
      value = got == 1;
    } else {
      if (got > std::numeric_limits<Raw>::max()) failed_ = true;
      value = static_cast<T>(got);
    }
  }
  void text(std::string& value, size_t most) {
    const std::span<const std::byte> got = piece(most);
    value.assign(reinterpret_cast<const char*>(got.data()), got.size());
  }
  template <typename Byte>
  void bytes(std::vector<Byte>& value, size_t most) {
    const std::span<const std::byte> got = piece(most);
    const auto* first = reinterpret_cast<const Byte*>(got.data());
    value.assign(first, first + got.size());
  }
  template <typename T, typename Each>
  void list(std::vector<T>& values, size_t most, Each each) {
    values.clear();
    const size_t count = length(most);
    for (size_t i = 0; i < count && ok(); ++i) each(*this, values.emplace_back());
  }
  template <typename T, typename Each>
  void optional(std::optional<T>& value, Each each) {
    value.reset();
    if (length(1) == 1 && ok()) each(*this, value.emplace());
  }
  void flags(std::vector<bool>& values, size_t most) {
    values.clear();
    const size_t count = length(most);
    for (size_t i = 0; i < count && ok(); ++i) values.push_back(length(1) == 1);
  }

  bool ok() const { return !failed_; }
  // All was read, and nothing is left.
  bool done() const { return !failed_ && in_.empty(); }

 private:
  uint64_t take() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !in_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(in_.front());
      in_ = in_.subspan(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  // Each element has a byte at least.
  size_t length(size_t most) {
    const uint64_t count = take();
    if (count > most || count > in_.size() + 1) failed_ = true;
    return failed_ ? 0 : static_cast<size_t>(count);
  }
  std::span<const std::byte> piece(size_t most) {
    const uint64_t count = take();
    if (count > most || count > in_.size()) failed_ = true;
    if (failed_) return {};
    const std::span<const std::byte> got = in_.first(static_cast<size_t>(count));
    in_ = in_.subspan(static_cast<size_t>(count));
    return got;
  }

  std::span<const std::byte> in_;
  bool failed_ = false;
};

}  // namespace memwhy::files
