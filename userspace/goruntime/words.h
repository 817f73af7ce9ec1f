// SPDX-License-Identifier: Apache-2.0
// Fields out of bytes that were read: bounds are checked, an absent field reads as 0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "goruntime/layout.h"

namespace memwhy::goruntime {

// Little-endian value of 1, 2, 4 or 8 bytes; a longer field gives its first word.
inline uint64_t field(std::span<const std::byte> bytes, Field where) {
  const size_t size = std::min<size_t>(where.bytes, 8);
  if (size == 0 || where.offset > bytes.size() || bytes.size() - where.offset < size) return 0;
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + where.offset, size);
  return value;
}

inline uint64_t word(std::span<const std::byte> bytes, size_t offset) {
  return field(bytes, {static_cast<uint32_t>(offset), 8});
}

// A Go slice header.
struct Slice {
  uint64_t data = 0, length = 0, capacity = 0;
};

inline Slice slice(std::span<const std::byte> bytes, size_t offset) {
  return {word(bytes, offset), word(bytes, offset + 8), word(bytes, offset + 16)};
}

}  // namespace memwhy::goruntime
