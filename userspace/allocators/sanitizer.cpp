// SPDX-License-Identifier: Apache-2.0
#include "allocators/sanitizer.h"

#include <algorithm>

namespace memwhy::allocators {
namespace {

constexpr uint64_t kTiB = uint64_t{1} << 40;
// As GCC 12 and clang 16 build them for x86-64.
constexpr SanitizerLayout kLayouts[] = {
    {"AddressSanitizer",
     {0x7fff7000, 0x10007fff8000},
     0x10007fff8000,
     8 * kTiB,
     {0x600000000000, 0x640000000000}},
    {"MemorySanitizer",
     {0x010000000000, 0x510000000000},
     0x510000000000,
     kTiB,
     {0x700000000000, 0x720000000000}},
    {"ThreadSanitizer",
     {0x010000000000, 0x340000000000},
     0x340000000000,
     2 * kTiB,
     {0x7b0000000000, 0x7c0000000000}},
};
// Go's heap, in a program whose race detector has its meta shadow where ThreadSanitizer's is.
constexpr AddressRange kGoHeap = {0xc000000000, 0xe000000000};

bool any_in(const std::vector<events::Vma>& vmas, const AddressRange& range) {
  return std::any_of(vmas.begin(), vmas.end(),
                     [&](const auto& vma) { return range.contains(vma.range.start); });
}

}  // namespace

const SanitizerLayout* sanitizer_of(const std::vector<events::Vma>& vmas) {
  for (const SanitizerLayout& layout : kLayouts) {
    const bool shadow = std::any_of(vmas.begin(), vmas.end(), [&](const events::Vma& vma) {
      return HeapMemory::private_anonymous(vma) && vma.range.end == layout.shadow_end &&
             vma.range.bytes() >= layout.shadow_bytes;
    });
    const bool go = layout.shadow_end == kLayouts[2].shadow_end && any_in(vmas, kGoHeap);
    if (shadow && !go) return &layout;
  }
  return nullptr;
}

bool Sanitizer::find(HeapMemory& memory) {
  layout_ = sanitizer_of(memory.vmas());
  return layout_ != nullptr;
}

Result<BlockTables> Sanitizer::read(HeapMemory& memory) {
  BlockTables out;
  for (const events::Vma& vma : memory.vmas()) {
    if (!HeapMemory::private_anonymous(vma)) continue;
    if (layout_->shadow.contains(vma.range.start)) out.blocks.push_back({vma.range, BlockUse::kTables});
    if (layout_->heap.contains(vma.range.start)) out.blocks.push_back({vma.range, BlockUse::kUnread});
  }
  return out;
}

}  // namespace memwhy::allocators
