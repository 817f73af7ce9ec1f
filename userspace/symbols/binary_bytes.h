// SPDX-License-Identifier: Apache-2.0
// BinaryBytes: the bytes of a file of a process, read through Binaries, for readers that need more than names. The file is
// reopened if it was closed in between; another file in its place is an error.
#pragma once

#include <utility>

#include "symbols/binaries.h"
#include "symbols/byte_source.h"

namespace memwhy::symbols {

class BinaryBytes final : public ByteSource {
 public:
  // `binaries` must outlive it.
  BinaryBytes(Binaries& binaries, ProcessFile file, const OpenedBinary& opened)
      : binaries_(binaries), file_(std::move(file)), key_(opened.key), handle_(opened.handle) {}

  uint64_t size() const override { return key_.bytes; }
  Status read_at(uint64_t offset, std::span<std::byte> out) override;

 private:
  Binaries& binaries_;
  ProcessFile file_;
  FileKey key_;
  BinaryHandle handle_;
};

}  // namespace memwhy::symbols
