// SPDX-License-Identifier: Apache-2.0
// The variables of mapped files (.data and .bss) and their words: the tables of an allocator begin in one of them. Without
// symbols. Which word is a table, each allocator's reader decides by what the word points to.
//
//   7f10'0000 rw-p libpython3.11.so   .data  ─┐ one ModuleData, named by the file
//   7f14'2000 rw-p (anonymous, adjoins) .bss ─┘
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "allocators/heap_memory.h"

namespace memwhy::allocators {

// Whether the file of these variables may have the allocator linked in; without one every file may.
using MayHold = std::function<bool(const std::vector<events::Vma>& vmas, const events::Vma& data)>;

constexpr uint64_t kMostModuleData = uint64_t{64} << 20;

struct ModuleData {
  AddressRange range;
  std::string_view name;  // of the mappings
};
inline std::vector<ModuleData> module_data(const std::vector<events::Vma>& vmas) {
  std::vector<ModuleData> out;
  for (const events::Vma& vma : vmas) {
    if (!vma.read || !vma.write || vma.shared) continue;
    const bool adjoins = !out.empty() && out.back().range.end == vma.range.start;
    if (vma.inode != 0 && !(adjoins && out.back().name == vma.name))
      out.push_back({vma.range, vma.name});
    else if (adjoins && (vma.inode != 0 || vma.name.empty() || vma.name.starts_with("[anon:")))
      out.back().range.end = vma.range.end;
  }
  std::erase_if(out, [](const ModuleData& data) { return data.range.bytes() > kMostModuleData; });
  return out;
}

// visit(address, word) for each word that is not zero; absent pages are zeros.
template <typename Visit>
void each_word(HeapMemory& memory, const AddressRange& range, Visit visit) {
  constexpr size_t kPiece = 64 << 10, kTogether = 16;
  const uint64_t most = std::min<uint64_t>(range.bytes(), kPiece * kTogether);
  std::vector<uint64_t> words((most + 7) / 8);
  for (uint64_t at = range.start; at < range.end;) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
    std::vector<remote::Piece> pieces;
    const uint64_t begun = at;
    for (size_t i = 0; i < kTogether && at < range.end; ++i, at += pieces.back().into.size())
      pieces.push_back(
          {at, bytes.subspan(i * kPiece, std::min<uint64_t>(kPiece, range.end - at)), true, false});
    if (!memory.read_each(pieces)) return;
    for (const remote::Piece& piece : pieces) {
      if (!piece.there) continue;
      const uint64_t* const first = words.data() + (piece.address - begun) / 8;
      for (size_t i = 0; i < piece.into.size() / 8; ++i)
        if (first[i] != 0) visit(piece.address + 8 * i, first[i]);
    }
  }
}

}  // namespace memwhy::allocators
