// SPDX-License-Identifier: Apache-2.0
// mp_: it lies near main_arena in the same data; only one place there satisfies the relations between its fields.
#include <algorithm>
#include <cstring>

#include "allocators/glibc_find.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kNearArena = 0x4000;

template <typename T>
T field(std::span<const std::byte> raw, int offset) {
  T value{};
  if (offset >= 0) std::memcpy(&value, raw.data() + offset, sizeof value);
  return value;
}

Par parse(std::span<const std::byte> raw, const ParLayout& layout) {
  const auto word = [&](int offset) { return field<uint64_t>(raw, offset); };
  const auto number = [&](int offset) { return field<uint32_t>(raw, offset); };
  Par par;
  par.layout = &layout;
  par.trim_threshold = word(kParTrimThreshold);
  par.top_pad = word(kParTopPad);
  par.mmap_threshold = word(kParMmapThreshold);
  par.arena_test = word(kParArenaTest);
  par.arena_max = word(kParArenaMax);
  par.mapped_chunks = number(layout.n_mmaps);
  par.mapped_chunks_max = number(layout.n_mmaps_max);
  par.mapped_chunks_most = number(layout.max_n_mmaps);
  par.thresholds_fixed = number(layout.no_dyn_threshold) != 0;
  par.mapped_bytes = word(layout.mmapped_mem);
  par.mapped_bytes_max = word(layout.max_mmapped_mem);
  par.sbrk_base = word(layout.sbrk_base);
  par.tcache_bins = word(layout.tcache_bins);
  par.tcache_max_bytes = word(layout.tcache_max_bytes);
  par.tcache_count = word(layout.tcache_count);
  par.thp_pagesize = word(layout.thp_pagesize);
  return par;
}

bool plausible(HeapMemory& memory, std::span<const std::byte> raw, const Par& par, const Arena& main) {
  constexpr uint64_t kMostMapped = uint64_t{1} << 20, kMostThreshold = uint64_t{64} << 30;
  const bool mapped = par.mapped_chunks <= par.mapped_chunks_most &&
                      par.mapped_chunks_most <= std::max(par.mapped_chunks_max, kMostMapped) &&
                      par.mapped_bytes <= par.mapped_bytes_max && par.mapped_bytes % kPageBytes == 0 &&
                      (par.mapped_chunks == 0) == (par.mapped_bytes == 0);
  const bool tcache = par.tcache_bins > 0 && par.tcache_bins <= 64 && par.tcache_max_bytes >= 24 &&
                      par.tcache_max_bytes <= uint64_t{4} << 20 && par.tcache_count <= 65535;
  const bool settings = field<uint32_t>(raw, par.layout->no_dyn_threshold) <= 1 && par.arena_test <= 4096 &&
                        par.arena_max <= 65536 && par.mmap_threshold <= kMostThreshold &&
                        par.top_pad % 8 == 0 && par.thp_pagesize % kPageBytes == 0;
  const bool brk = main.system_bytes == 0 || (aligned(par.sbrk_base) && memory.writable(par.sbrk_base));
  return mapped && tcache && settings && brk;
}

}  // namespace

void read_par(HeapMemory& memory, Glibc& libc) {
  libc.par.reset();
  const events::Vma* const vma = memory.mapping(libc.main_arena);
  if (vma == nullptr || libc.arenas.empty()) return;
  const AddressRange data = vma->range;
  const uint64_t from = std::max(data.start, libc.main_arena - std::min(libc.main_arena, kNearArena));
  const uint64_t to = std::min(data.end, libc.main_arena + kNearArena);
  const bool shape243 = libc.shape == &kStateShapes[1];
  int found = 0;
  for (uint64_t at = from; at + kParBytes <= to; at += 8) {
    std::array<std::byte, kParBytes> raw;
    if (!memory.read(at, raw)) continue;
    for (const ParLayout& layout : kParLayouts) {
      if (layout.shape243 != shape243) continue;
      const Par par = parse(raw, layout);
      if (!plausible(memory, raw, par, libc.arenas.front())) continue;
      ++found;
      libc.par = par;
    }
  }
  if (found != 1) libc.par.reset();
}

}  // namespace memwhy::allocators
