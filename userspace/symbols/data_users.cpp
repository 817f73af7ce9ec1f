// SPDX-License-Identifier: Apache-2.0
#include "symbols/data_users.h"

#include <algorithm>
#include <cstring>

namespace memwhy::symbols {
namespace {

constexpr uint64_t kMostCodeBytes = 256 << 20;
constexpr uint64_t kBlockBytes = 64 << 10;

struct Target {
  uint64_t address = 0;
  size_t index = 0;
};

}  // namespace

std::vector<std::vector<uint64_t>> uses_of(ByteSource& source, const ElfFile& elf,
                                           const std::vector<uint64_t>& addresses) {
  std::vector<std::vector<uint64_t>> out(addresses.size());
  std::vector<Target> targets;
  for (size_t i = 0; i < addresses.size(); ++i)
    if (addresses[i] != 0 && addresses[i] % 8 == 0) targets.push_back({addresses[i], i});
  if (targets.empty() || elf.machine() != "x86-64") return out;
  const auto before = [](const Target& a, const Target& b) { return a.address < b.address; };
  std::sort(targets.begin(), targets.end(), before);
  const uint64_t low = targets.front().address, high = targets.back().address;
  uint64_t left = kMostCodeBytes;
  std::vector<std::byte> block;
  for (const Segment& segment : elf.segments()) {
    if (!segment.exec) continue;
    const uint64_t bytes = std::min(segment.file_bytes, left);
    left -= bytes;
    // Blocks overlap by three bytes: the four may lie across.
    for (uint64_t at = 0; at + 4 <= bytes; at += kBlockBytes) {
      block.resize(std::min(kBlockBytes + 3, bytes - at));
      if (!source.read_at(segment.offset + at, block)) return out;
      for (size_t i = 0; i + 4 <= block.size(); ++i) {
        int32_t distance = 0;
        std::memcpy(&distance, block.data() + i, sizeof distance);
        const uint64_t next =
            segment.vaddr + at + i + 4 + static_cast<uint64_t>(static_cast<int64_t>(distance));
        const uint64_t address = (next + 7) & ~uint64_t{7}, operand = address - next;
        if (address < low || address > high || operand == 3 || operand > 4) continue;
        auto [from, to] = std::equal_range(targets.begin(), targets.end(), Target{address, 0}, before);
        for (; from != to; ++from)
          if (out[from->index].size() < kMostUses) out[from->index].push_back(segment.vaddr + at + i);
      }
    }
  }
  return out;
}

}  // namespace memwhy::symbols
