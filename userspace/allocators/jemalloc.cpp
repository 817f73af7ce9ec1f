// SPDX-License-Identifier: Apache-2.0
#include "allocators/jemalloc.h"

#include <algorithm>
#include <set>

#include "allocators/radix_map.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kAddressEnd = uint64_t{1} << 48;
// A leaf's word: size class in the upper 16 bits, flags in the lowest 6.
constexpr RadixKind kExtents = {
    12, 18, 3, [](uint64_t word) { return word & 0xffff'ffff'ffc0; },
    [](const Descriptor& extent) -> AddressRange {
      // A large one's address is shifted within its page.
      const uint64_t start = round_down(extent.words[1], kPageBytes),
                     bytes = round_down(extent.words[2], kPageBytes);
      return start < kAddressEnd && bytes < kAddressEnd ? AddressRange{start, start + bytes} : AddressRange{};
    }};

// Where the first word of an extent has what.
struct Release {
  unsigned state_at, state_bits, class_at, free_at;
};
constexpr Release kReleases[] = {{17, 3, 20, 28}, {16, 2, 18, 26}};  // 5.3; 5.0 to 5.2
constexpr unsigned kSlabAt = 12;
constexpr uint64_t kActive = 0, kDirty = 1, kMuzzy = 2, kRetained = 3;
constexpr uint64_t kSlabClasses = 36, kClasses = 232, kArenaMask = 0xfff;

// 8, 16, 32, 48 ... 128, then four in each doubling.
uint64_t size_of_class(uint64_t index) {
  if (index == 0) return 8;
  if (index <= 8) return 16 * index;
  const uint64_t group = (index - 9) / 4, step = (index - 9) % 4 + 1;
  const uint64_t base = uint64_t{128} << group;
  return base + base / 4 * step;
}

struct Extent {
  uint64_t word, address, bytes;
  uint64_t bits(unsigned at, unsigned count) const { return word >> at & ((uint64_t{1} << count) - 1); }
};

struct Judged {
  BlockTables tables;
  size_t contradictions = 0, slabs = 0;
};

Judged judge(const std::vector<Extent>& extents, const Release& release) {
  Judged out;
  std::set<uint64_t> arenas;
  for (const Extent& extent : extents) {
    const uint64_t state = extent.bits(release.state_at, release.state_bits);
    const uint64_t index = extent.bits(release.class_at, 8);
    Block block{{extent.address, extent.address + extent.bytes}};
    const bool slab = extent.bits(kSlabAt, 1) != 0;
    if (state == kActive) {
      arenas.insert(extent.word & kArenaMask);
      const uint64_t size = index < (slab ? kSlabClasses : kClasses) ? size_of_class(index) : 0;
      const uint64_t free = extent.bits(release.free_at, 10);
      const bool fits = size != 0 && (slab ? extent.bytes % size == 0 && free <= extent.bytes / size
                                           : size <= extent.bytes);
      out.slabs += slab ? 1 : 0;
      out.contradictions += fits ? 0 : 1;
      if (!fits) out.tables.unknown_bytes += extent.bytes;
      block.used_bytes = !fits ? extent.bytes : slab ? extent.bytes - free * size : size;
    } else if (state <= kRetained) {
      block.use = BlockUse::kFree;
      block.returnable = state == kDirty || state == kMuzzy;
    } else {  // on its way from one to another: rare, but in the wrong reading
      block.use = BlockUse::kUnread;
      ++out.contradictions;
    }
    out.tables.blocks.push_back(block);
  }
  out.tables.arenas = arenas.size();
  return out;
}

}  // namespace

bool Jemalloc::find(HeapMemory& memory) {
  root_ = find_radix(memory, kExtents, may_hold_);
  return root_.has_value();
}

Result<BlockTables> Jemalloc::read(HeapMemory& memory) {
  RadixContents contents = read_radix(memory, kExtents, *root_);
  std::vector<Extent> extents;
  std::set<uint64_t> pages;  // of descriptors
  for (const Descriptor& each : contents.descriptors) {
    const AddressRange range = kExtents.memory(each);
    extents.push_back({each.words[0], range.start, range.bytes()});
    pages.insert(round_down(each.address, kPageBytes));
  }
  Judged best = judge(extents, kReleases[0]);
  if (Judged other = judge(extents, kReleases[1]); other.contradictions < best.contradictions)
    best = std::move(other);
  if (extents.empty() || best.contradictions * 20 > extents.size())
    return Error(ErrorCode::kDamaged, "the extents of jemalloc contradict themselves");
  if (!contents.whole) best.tables.problem = "there are more extents than one reading may keep";
  for (const AddressRange& leaf : contents.leaves) best.tables.blocks.push_back({leaf, BlockUse::kTables});
  for (const uint64_t page : pages)
    best.tables.blocks.push_back({{page, page + kPageBytes}, BlockUse::kTables});
  return std::move(best.tables);
}

}  // namespace memwhy::allocators
