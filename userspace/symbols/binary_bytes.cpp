// SPDX-License-Identifier: Apache-2.0
#include "symbols/binary_bytes.h"

#include <algorithm>

namespace memwhy::symbols {

Status BinaryBytes::read_at(uint64_t offset, std::span<std::byte> out) {
  if (offset > key_.bytes || out.size() > key_.bytes - offset)
    return Error(ErrorCode::kBadInput, "not inside the file");
  Result<std::vector<std::byte>> bytes = binaries_.read(handle_, offset, out.size());
  if (!bytes && bytes.error().code() == ErrorCode::kAbsent) {
    const Result<OpenedBinary> again = binaries_.open_file(file_);
    if (!again) return again.error();
    if (again->key != key_) return Error(ErrorCode::kTargetGone, "the process has another file there now");
    handle_ = again->handle;
    bytes = binaries_.read(handle_, offset, out.size());
  }
  if (!bytes) return std::move(bytes).error();
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return {};
}

}  // namespace memwhy::symbols
