// SPDX-License-Identifier: Apache-2.0
#include "allocators/tcmalloc.h"

#include <algorithm>
#include <set>

#include "allocators/module_data.h"
#include "allocators/radix_map.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kSpanPageShift = 13;
constexpr RadixKind kSpans = {
    kSpanPageShift, 17, 8, [](uint64_t word) { return word % 8 == 0 ? word : 0; },
    [](const Descriptor& span) -> AddressRange {
      if (span.words[0] >= uint64_t{1} << 35 || span.words[1] >= uint64_t{1} << 30) return {};
      return {span.words[0] << kSpanPageShift, (span.words[0] + span.words[1]) << kSpanPageShift};
    }};

// The word with the state follows a field of 8, 16 or 24 bytes.
constexpr size_t kStateWords[] = {5, 6, 7};
constexpr uint64_t kInUse = 0, kFreeSpan = 1, kReturnedSpan = 2;

struct State {
  uint64_t word;
  uint64_t out() const { return word & 0xffff; }
  uint64_t size_class() const { return word >> 16 & 0xff; }
  uint64_t location() const { return word >> 24 & 3; }
};

// Sizes by class: 0, 8, 16, ... up to 256 KiB. Words of four bytes.
constexpr uint32_t kLargestSmall = 256 << 10;
constexpr size_t kMostClasses = 128;
std::vector<uint32_t> sizes_in(HeapMemory& memory, const AddressRange& data) {
  std::vector<uint64_t> places;
  each_word(memory, data, [&](uint64_t place, uint64_t word) {
    if (places.size() == 4096) return;
    if (word == uint64_t{8} << 32) places.push_back(place);             // 0, 8
    if (word == (uint64_t{16} << 32 | 8)) places.push_back(place - 4);  // 8, 16
  });
  for (const uint64_t place : places) {
    std::array<uint32_t, kMostClasses> sizes;
    if (!memory.get(place, sizes) || sizes[0] != 0 || sizes[1] != 8 || sizes[2] != 16) continue;
    size_t n = 1;
    while (n < sizes.size() && sizes[n] > sizes[n - 1] && sizes[n] % 8 == 0) ++n;
    if (n > 16 && sizes[n - 1] == kLargestSmall) return {sizes.begin(), sizes.begin() + n};
  }
  return {};
}

// Which of the words is the state: the one by which no free span has a size class, and some span has one.
std::optional<size_t> state_word(const std::vector<Descriptor>& spans) {
  for (const size_t at : kStateWords) {
    size_t wrong = 0, small = 0;
    for (const Descriptor& span : spans) {
      const State state{span.words[at]};
      wrong += state.location() > kReturnedSpan || (state.location() != kInUse && state.size_class() != 0);
      small += state.location() == kInUse && state.size_class() != 0 && state.out() != 0;
    }
    if (small != 0 && wrong * 50 <= spans.size()) return at;
  }
  return std::nullopt;
}

}  // namespace

bool Tcmalloc::find(HeapMemory& memory) {
  root_ = find_radix(memory, kSpans, may_hold_);
  if (!root_) return false;
  sizes_.clear();
  for (const ModuleData& data : module_data(memory.vmas()))
    if (data.range.contains(*root_)) sizes_ = sizes_in(memory, data.range);
  return true;
}

Result<BlockTables> Tcmalloc::read(HeapMemory& memory) {
  const RadixContents contents = read_radix(memory, kSpans, *root_);
  const std::optional<size_t> at = state_word(contents.descriptors);
  if (!at) return Error(ErrorCode::kDamaged, "the spans of tcmalloc contradict themselves");
  BlockTables out;
  out.arenas = 1;
  std::set<uint64_t> pages;  // of descriptors
  for (const Descriptor& span : contents.descriptors) {
    const State state{span.words[*at]};
    const uint64_t start = span.words[0] << kSpanPageShift, bytes = span.words[1] << kSpanPageShift;
    Block block{{start, start + bytes}};
    if (state.location() == kInUse) {
      block.used_bytes = bytes;
      if (state.size_class() != 0 && state.size_class() < sizes_.size())
        block.used_bytes = std::min(bytes, state.out() * sizes_[state.size_class()]);
      else if (state.size_class() != 0)
        out.unknown_bytes += bytes;
    } else {
      block.use = BlockUse::kFree;
      block.returnable = state.location() == kFreeSpan;
    }
    out.blocks.push_back(block);
    pages.insert(round_down(span.address, kPageBytes));
  }
  if (sizes_.empty()) out.problem = "the sizes of its classes were not found";
  if (!contents.whole) out.problem = "there are more spans than one reading may keep";
  for (const AddressRange& leaf : contents.leaves) out.blocks.push_back({leaf, BlockUse::kTables});
  for (const uint64_t page : pages) out.blocks.push_back({{page, page + kPageBytes}, BlockUse::kTables});
  return out;
}

}  // namespace memwhy::allocators
