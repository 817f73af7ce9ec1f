// SPDX-License-Identifier: Apache-2.0
#include "allocators/mimalloc_arenas.h"

#include <algorithm>
#include <array>
#include <optional>

#include "allocators/aligned_heads.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kArenaSlice = MimallocArena::kSliceBytes;
constexpr uint64_t kMostArenaSlices = uint64_t{1} << 20;
constexpr uint64_t kArenasApart = uint64_t{4}
                                  << 20;  // where it asks the system to put them; else one begins a mapping
constexpr uint32_t kOfArena = 7;          // mi_memkind_t
constexpr size_t kMaps = 4;               // free, committed, dirty, purge

// The first words of struct mi_arena_s, and of struct mi_page_s.
using ArenaWords = std::array<uint64_t, 24>;
using PageWords = std::array<uint64_t, 18>;
// Of a page in the table: in 3.4 and in 3.3, without and with keys.
constexpr std::array<uint64_t, 4> kInTable = {112, 120, 128, 136};

struct ArenaPage {
  uint64_t slices = 0, used_bytes = 0;
};

// The words of a mi_memid_t: { arena, slice and slices, kind }. 0: they are not there.
uint64_t slices_named(std::span<const uint64_t> words, const MimallocArena& arena, uint64_t slice) {
  for (size_t i = 0; i + 3 <= words.size(); ++i) {
    const uint64_t slices = words[i + 1] >> 32;
    if (words[i] == arena.address && static_cast<uint32_t>(words[i + 1]) == slice &&
        static_cast<uint32_t>(words[i + 2]) == kOfArena && slices != 0 && slices <= arena.slices - slice)
      return slices;
  }
  return 0;
}

// at: of what describes the page. Where its blocks begin is an address, or in 3.4 the words from there.
std::optional<ArenaPage> page_of(const PageWords& head, uint64_t at, const MimallocArena& arena,
                                 uint64_t slice) {
  constexpr size_t kCounts = 2, kBlockBytes = 5, kStart = 6;
  const uint64_t slices = slices_named(head, arena, slice);
  const uint64_t used = head[kCounts] & 0xffff, capacity = head[kCounts] >> 16 & 0xffff;
  const uint64_t reserved = head[kCounts] >> 32 & 0xffff, bytes = head[kBlockBytes];
  const AddressRange range{arena.address + slice * kArenaSlice,
                           arena.address + (slice + slices) * kArenaSlice};
  const uint64_t start = range.contains(head[kStart])
                             ? head[kStart]
                             : at + sizeof(uint64_t) * static_cast<uint32_t>(head[kStart]);
  const bool fits = range.contains(start) && bytes >= 8 && used <= capacity && capacity <= reserved &&
                    capacity <= (range.end - start) / bytes;
  if (!fits) return std::nullopt;
  return ArenaPage{slices, used * bytes};
}

uint64_t map_bytes(const MimallocArena& arena) { return (arena.slices + 511) / 512 * 64; }

// Its maps lie one after the other in slices of its own.
std::optional<MimallocArena> arena_at(uint64_t address, const ArenaWords& head, const AddressRange& span) {
  constexpr size_t kFirst = 4, kLast = 5, kFields = 10;  // words up to the maps
  for (size_t at = kFirst; at <= kLast; ++at) {
    MimallocArena arena{address, head[at], head[at + 1]};
    if (arena.slices == 0 || arena.slices > kMostArenaSlices || arena.own_slices == 0 ||
        arena.own_slices >= arena.slices || !span.contains(address) ||
        arena.own_slices * kArenaSlice > span.end - address)
      continue;
    const uint64_t own_end = address + arena.own_slices * kArenaSlice;
    for (size_t map = at + 2; map < at + 2 + kFields; ++map) {
      const auto maps = std::span(head).subspan(map, kMaps);
      const bool ascend = std::adjacent_find(maps.begin(), maps.end(), std::greater_equal<>()) == maps.end();
      if (!ascend || maps.front() <= address || maps.back() >= own_end) continue;
      if (maps[1] - maps[0] < map_bytes(arena) || maps[1] % 8 != 0) break;
      arena.free_map = maps[1] - map_bytes(arena);  // behind its own head
      const uint64_t table = head[map + kMaps];
      if (table > address && table < own_end) arena.table = table;
      return arena;
    }
  }
  return std::nullopt;
}

// How many bytes each page has in the table; 0: there is none.
uint64_t bytes_in_table(HeapMemory& memory, const MimallocArena& arena) {
  const uint64_t own_end = arena.address + arena.own_slices * kArenaSlice;
  for (const uint64_t bytes : kInTable)
    for (uint64_t slice = arena.own_slices; slice < arena.slices; ++slice) {
      const uint64_t at = arena.table + slice * bytes;
      PageWords head{};
      if (arena.table == 0 || at + bytes > own_end || !memory.step()) break;
      if (memory.read(at, std::as_writable_bytes(std::span(head)).first(bytes)) &&
          page_of(head, at, arena, slice))
        return bytes;
    }
  return 0;
}

// The pages that begin with the slices from `first` on: as the table has them, else as is written where they begin.
bool read_pages(HeapMemory& memory, const MimallocArena& arena, uint64_t each_in_table, uint64_t first,
                std::span<std::optional<ArenaPage>> pages) {
  std::vector<PageWords> heads(pages.size());
  std::vector<remote::Piece> pieces;
  for (size_t i = 0; i < heads.size(); ++i)
    pieces.push_back(
        {arena.address + (first + i) * kArenaSlice, std::as_writable_bytes(std::span(heads[i]))});
  if (!memory.step() || !memory.read_each(pieces)) return false;
  for (size_t i = 0; i < pages.size(); ++i) {
    const uint64_t slice = first + i, in_table = arena.table + slice * each_in_table;
    PageWords head{};
    pages[i].reset();
    if (each_in_table != 0 &&
        memory.read(in_table, std::as_writable_bytes(std::span(head)).first(each_in_table)))
      pages[i] = page_of(head, in_table, arena, slice);
    if (!pages[i] && pieces[i].there) pages[i] = page_of(heads[i], pieces[i].address, arena, slice);
  }
  return true;
}

bool has_bit(std::span<const uint64_t> map, uint64_t slice) {
  return (map[slice / 64] >> slice % 64 & 1) != 0;
}

Block block_of(const MimallocArena& arena, uint64_t slice, uint64_t slices, BlockUse use) {
  const uint64_t begin = arena.address + slice * kArenaSlice;
  return {{begin, begin + slices * kArenaSlice}, use};
}

}  // namespace

std::vector<MimallocArena> mimalloc_arenas(HeapMemory& memory) {
  std::vector<MimallocArena> out;
  const auto visit = [&](std::span<const HeadAt<ArenaWords>> heads) {
    for (const auto& [at, head] : heads)
      if (const auto arena = arena_at(at, head, memory.span(at)); arena && memory.keep(sizeof *arena))
        out.push_back(*arena);
    return true;
  };
  const auto may_hold = [](const events::Vma& vma) {
    return HeapMemory::private_anonymous(vma) && vma.range.bytes() >= kArenasApart;
  };
  each_head<ArenaWords>(memory, kArenasApart, may_hold, visit);
  each_head<ArenaWords>(memory, kArenaSlice, may_hold, visit, kArenasApart);
  const auto by_address = [](const MimallocArena& a, const MimallocArena& b) {
    return a.address < b.address;
  };
  std::ranges::sort(out, by_address);
  const auto same = [](const MimallocArena& a, const MimallocArena& b) { return a.address == b.address; };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  return out;
}

bool add_arena(HeapMemory& memory, const MimallocArena& arena, BlockTables& out) {
  constexpr uint64_t kTogether = 512;
  std::vector<uint64_t> free(map_bytes(arena) / sizeof(uint64_t));
  if (!memory.keep(map_bytes(arena)) || !memory.read(arena.free_map, std::as_writable_bytes(std::span(free))))
    return false;
  for (uint64_t slice = 0; slice < arena.own_slices; ++slice)
    if (has_bit(free, slice)) return false;
  const uint64_t each_in_table = bytes_in_table(memory, arena);
  std::vector<Block> blocks = {block_of(arena, 0, arena.own_slices, BlockUse::kTables)};
  std::vector<std::optional<ArenaPage>> pages;
  size_t found = 0;
  uint64_t read_to = arena.own_slices;
  for (uint64_t slice = arena.own_slices; slice < arena.slices;) {
    if (slice >= read_to) {
      pages.resize(std::min(kTogether, arena.slices - slice));
      if (!read_pages(memory, arena, each_in_table, slice, pages)) return false;
      read_to = slice + pages.size();
    }
    const bool is_free = has_bit(free, slice);
    if (const auto& page = pages[slice + pages.size() - read_to]; page && !is_free) {
      blocks.push_back(block_of(arena, slice, page->slices, BlockUse::kObjects));
      blocks.back().used_bytes = page->used_bytes;
      slice += page->slices;
      ++found;
      continue;
    }
    const BlockUse use = is_free ? BlockUse::kFree : BlockUse::kTables;
    if (blocks.back().use == use)
      blocks.back().range.end += kArenaSlice;
    else
      blocks.push_back(block_of(arena, slice, 1, use));
    ++slice;
  }
  if (found == 0 || !memory.keep(blocks.size() * sizeof(Block))) return false;
  out.blocks.insert(out.blocks.end(), blocks.begin(), blocks.end());
  return true;
}

}  // namespace memwhy::allocators
