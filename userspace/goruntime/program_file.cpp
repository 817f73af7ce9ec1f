// SPDX-License-Identifier: Apache-2.0
#include "goruntime/program_file.h"

#include <algorithm>

namespace memwhy::goruntime {

// A page at the edge of a segment has bytes of no segment: read as zeros here.
Status ProgramFile::read(uint64_t address, std::span<std::byte> into) {
  Result<uint64_t> there = read_present(address, into);
  if (!there) return std::move(there).error();
  if (*there == 0 && !into.empty()) return Error(ErrorCode::kAbsent, "not a part of the program's file");
  return {};
}

Result<uint64_t> ProgramFile::read_present(uint64_t address, std::span<std::byte> into) {
  std::fill(into.begin(), into.end(), std::byte{0});
  const uint64_t from = address - bias_, to = from + into.size();
  if (to < from) return Error(ErrorCode::kDamaged, "an address range wraps");
  uint64_t there = 0;
  for (const symbols::Segment& segment : segments_) {
    const uint64_t start = std::max(from, segment.vaddr),
                   end = std::min(to, segment.vaddr + segment.file_bytes);
    if (start >= end) continue;
    if (Status status =
            file_->read_at(segment.offset + (start - segment.vaddr), into.subspan(start - from, end - start));
        !status)
      return std::move(status).error();
    there += end - start;
  }
  return there;
}

}  // namespace memwhy::goruntime
