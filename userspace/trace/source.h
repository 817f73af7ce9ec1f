// SPDX-License-Identifier: Apache-2.0
// ByteSource: random access to the bytes of a recording, in a file or in memory. No mmap: a file that shrinks
// while it is read gives short reads instead of SIGBUS.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"

namespace memwhy::trace {

class ByteSource {
 public:
  ByteSource(Fd file, uint64_t size) : file_(std::move(file)), size_(size) {}
  explicit ByteSource(std::string bytes) : bytes_(std::move(bytes)), size_(bytes_.size()) {}

  uint64_t size() const { return size_; }
  // Fills `out` from `offset`; the number of bytes that were there.
  size_t read(uint64_t offset, char* out, size_t wanted) const;

 private:
  Fd file_;
  std::string bytes_;
  uint64_t size_ = 0;
};

}  // namespace memwhy::trace
