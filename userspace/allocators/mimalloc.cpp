// SPDX-License-Identifier: Apache-2.0
#include "allocators/mimalloc.h"

#include <algorithm>
#include <cstring>

#include "allocators/aligned_heads.h"
#include "allocators/mimalloc_arenas.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kSliceBytes = 64 << 10, kMostSlices = 512;
constexpr uint64_t kHugeBlock = uint64_t{1} << 31;  // its size is that of its slices

// struct mi_slice_s.
struct Slice {
  uint32_t count, offset;
  uint8_t flags, padding;
  uint16_t capacity;
  uint32_t rest[3];
  uint32_t used, block_bytes;
  uint64_t more[6];
};
static_assert(sizeof(Slice) == 80);
// The fields before the slices, at the end of struct mi_segment_s.
struct SegmentTail {
  uint64_t slices, own_slices, kind, entries, thread;
};
using SegmentHead = std::array<uint64_t, 72>;
constexpr size_t kFirstTail = 0x80 / 8 - sizeof(SegmentTail) / 8,
                 kLastTail = 0x200 / 8 - sizeof(SegmentTail) / 8;

struct Segment {
  uint64_t address = 0, slices_at = 0;
  SegmentTail tail{};
  bool huge() const { return (tail.kind & 0xffff'ffff) != 0; }
};

// Where the slices begin differs between builds; the first one describes the segment's own.
std::optional<Segment> segment_at(uint64_t address, const SegmentHead& head) {
  for (size_t at = kFirstTail; at <= kLastTail; ++at) {
    Segment out{address, address + 8 * at + sizeof(SegmentTail)};
    std::memcpy(&out.tail, head.data() + at, sizeof out.tail);
    const SegmentTail& tail = out.tail;
    const auto first_count = static_cast<uint32_t>(head[at + sizeof(SegmentTail) / 8]);
    if ((tail.kind & 0xffff'ffff) > 1 || tail.entries == 0 || tail.entries > kMostSlices ||
        tail.own_slices == 0 || tail.own_slices >= 64 || tail.own_slices >= tail.slices ||
        tail.slices > (uint64_t{1} << 20) || first_count != tail.own_slices)
      continue;
    return out;
  }
  return std::nullopt;
}

// What is missing for want of budget is known by memory.step().
std::vector<Segment> segments_of(HeapMemory& memory) {
  std::vector<Segment> out;
  each_head<SegmentHead>(memory, Mimalloc::kSegmentBytes, HeapMemory::private_anonymous,
                         [&](std::span<const HeadAt<SegmentHead>> heads) {
                           for (const auto& [at, head] : heads)
                             if (const auto segment = segment_at(at, head);
                                 segment && memory.keep(sizeof(Segment)))
                               out.push_back(*segment);
                           return true;
                         });
  return out;
}

// false: its slices do not follow each other.
bool add_segment(HeapMemory& memory, const Segment& segment, BlockTables& out) {
  std::vector<Slice> slices(segment.tail.entries);
  const AddressRange span = memory.span(segment.address);
  // Those of the part that was never used are absent, and zeros.
  remote::Piece piece{segment.slices_at, std::as_writable_bytes(std::span(slices)), true, false};
  if (span.empty() || !memory.read_each({&piece, 1}) || !piece.there) return false;
  std::vector<Block> blocks;
  for (uint64_t i = 0; i < slices.size();) {
    const Slice& slice = slices[i];
    const uint64_t count = slice.count;
    if (count == 0 || (count > slices.size() - i && !segment.huge())) return false;
    const uint64_t start = segment.address + i * kSliceBytes;
    Block block{{start, std::min(span.end, start + count * kSliceBytes)}};
    if (i < segment.tail.own_slices) {
      block.use = BlockUse::kTables;
    } else if (slice.block_bytes >= 8 && (slice.capacity != 0 || segment.huge())) {
      const uint64_t size = slice.block_bytes < kHugeBlock ? slice.block_bytes : count * kSliceBytes;
      block.used_bytes = std::min<uint64_t>(slice.used * size, block.range.bytes());
    } else {
      block.use = BlockUse::kFree;
    }
    if (!block.range.empty()) blocks.push_back(block);
    i += count;
  }
  if (!memory.keep(blocks.size() * sizeof(Block))) return false;
  out.blocks.insert(out.blocks.end(), blocks.begin(), blocks.end());
  return true;
}

}  // namespace

bool Mimalloc::find(HeapMemory& memory) {
  BlockTables trial;
  const std::vector<Segment> segments = segments_of(memory);
  if (std::ranges::any_of(segments, [&](const Segment& each) { return add_segment(memory, each, trial); }))
    return true;
  const std::vector<MimallocArena> arenas = mimalloc_arenas(memory);
  return std::ranges::any_of(arenas,
                             [&](const MimallocArena& each) { return add_arena(memory, each, trial); });
}

Result<BlockTables> Mimalloc::read(HeapMemory& memory) {
  BlockTables out;
  const auto count = [&out](bool good) {
    if (good)
      ++out.arenas;
    else if (out.problem.empty())
      out.problem = "a segment or an arena was in motion";
  };
  for (const Segment& segment : segments_of(memory)) count(add_segment(memory, segment, out));
  for (const MimallocArena& arena : mimalloc_arenas(memory)) count(add_arena(memory, arena, out));
  if (!memory.step()) out.problem = "there are more segments or arenas than one reading may read";
  if (out.arenas == 0) return Error(ErrorCode::kDamaged, "no segment or arena of mimalloc is where one was");
  return out;
}

}  // namespace memwhy::allocators
