// SPDX-License-Identifier: Apache-2.0
// Regions of a main arena that malloc got by mmap: one mapping may hold such regions, mapped chunks, and memory that is not
// malloc's.
//
//   mapping  | mapped chunk | not malloc's | region: chunk chunk … fencepost fencepost | region: chunk chunk … top |
//   accepted from a page boundary on when the chain of chunks ends as one does, until they sum to system_mem
#include <algorithm>

#include "allocators/glibc_free.h"

namespace memwhy::allocators {
namespace {

// Where the chain of chunks from `at` on ends: at top, or at two fenceposts. 0: it is none.
uint64_t chain_end(HeapMemory& memory, const Arena& arena, uint64_t at, uint64_t limit) {
  while (memory.step()) {
    ChunkHead head;
    if (at == arena.top) return at;
    if (at + kHeader > limit || !memory.get(at, head)) return 0;
    const uint64_t size = head.bytes();
    if (size < kHeader || size % kChunkAlign != 0 || size > limit - at ||
        (head.size & (kMappedChunk | kNonMain)) != 0)
      return 0;
    if (size == kHeader) return memory.get(at + kHeader, head) && head.bytes() == kHeader ? at : 0;
    at += size;
  }
  return 0;
}

std::vector<AddressRange> mappings_of(HeapMemory& memory, const Arena& arena) {
  std::vector<uint64_t> places = arena.known;
  places.push_back(arena.top);
  std::sort(places.begin(), places.end());
  std::vector<AddressRange> out;
  for (const uint64_t place : places) {
    const AddressRange span = memory.span(place);
    if (span.empty() || (!out.empty() && out.back() == span)) continue;
    const bool taken = std::any_of(arena.regions.begin(), arena.regions.end(), [&](const Region& region) {
      return region.range.start < span.end && span.start < region.range.end;
    });
    if (!taken) out.push_back(span);
  }
  return out;
}

}  // namespace

void find_loose_regions(HeapMemory& memory, Arena& arena) {
  uint64_t sum = 0;
  for (const Region& region : arena.regions) sum += region.range.bytes();
  for (const AddressRange& span : mappings_of(memory, arena)) {
    for (uint64_t at = span.start;
         at < span.end && sum < arena.system_bytes && arena.regions.size() < kMostRegions && memory.step();) {
      ChunkHead head;
      if (!memory.get(at, head)) {
        at += kPageBytes;
        continue;
      }
      const uint64_t size = head.bytes();
      if ((head.size & kFlagBits) == kMappedChunk && head.prev_size == 0 && size >= kPageBytes &&
          size <= span.end - at) {
        at = round_up(at + size, kPageBytes);
        continue;
      }
      const uint64_t end = chain_end(memory, arena, at, span.end);
      if (end == 0) {
        at += kPageBytes;
        continue;
      }
      Region region;
      region.has_top = end == arena.top;
      region.chunks = {at, end};
      region.range = {at, region.has_top ? end + arena.top_bytes : round_up(end + 2 * kHeader, kPageBytes)};
      if (region.range.end > span.end) break;
      at = region.range.end;
      sum += region.range.bytes();
      arena.regions.push_back(std::move(region));
    }
  }
  if (sum != arena.system_bytes) arena.cut_short("the memory that it mapped was not all found");
}

}  // namespace memwhy::allocators
