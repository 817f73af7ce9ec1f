// SPDX-License-Identifier: Apache-2.0
#include "allocators/pymalloc.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "allocators/module_data.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr Pymalloc::Geometry kGeometries[] = {
    {1 << 20, 16 << 10},   // 3.10 and later
    {256 << 10, 4 << 10},  // 3.8, 3.9
};
constexpr size_t kFirstArenas = 16;  // that the table begins with; it then doubles
constexpr size_t kMostArenaObjects = 1 << 18, kArenasTogether = 64;
constexpr uint64_t kLargestBlock = 512, kPoolHeader = 48;

// struct arena_object.
struct ArenaObject {
  uint64_t address, pool_address;
  uint32_t free_pools, pools;
  uint64_t free_list, next, prev;
};
static_assert(sizeof(ArenaObject) == 48);
using ArenaObjects = std::array<ArenaObject, kFirstArenas>;

// struct pool_header.
struct PoolHeader {
  uint32_t count, unused;
  uint64_t free_block, next, prev;
  uint32_t arena, size_index, next_offset, last_offset;
};
static_assert(sizeof(PoolHeader) == kPoolHeader);

uint64_t first_pool(const ArenaObject& arena, const Pymalloc::Geometry& geometry) {
  return round_up(arena.address, geometry.pool_bytes);
}
// Pools that were ever given out.
uint64_t carved(const ArenaObject& arena, const Pymalloc::Geometry& geometry) {
  return (arena.pool_address - first_pool(arena, geometry)) / geometry.pool_bytes;
}

// Whether it could be an arena, by its own words and the mappings.
bool is_arena(const HeapMemory& memory, const ArenaObject& arena, const Pymalloc::Geometry& geometry) {
  if (arena.address < kPageBytes || arena.address % kPageBytes != 0 || arena.free_pools > arena.pools)
    return false;
  const uint64_t first = first_pool(arena, geometry);
  if (arena.pools != geometry.pools() - (first == arena.address ? 0 : 1) || arena.pool_address < first ||
      arena.pool_address > first + arena.pools * geometry.pool_bytes ||
      (arena.pool_address - first) % geometry.pool_bytes != 0)
    return false;
  const AddressRange span = memory.span(arena.address);
  return !span.empty() && span.end - arena.address >= geometry.arena_bytes;
}

// Blocks of a pool in use, in bytes; nullopt: the header is none of an arena's with this number.
std::optional<uint64_t> used_in(const PoolHeader& pool, uint64_t arena, const Pymalloc::Geometry& geometry) {
  if (pool.arena != arena || pool.last_offset >= geometry.pool_bytes) return std::nullopt;
  const uint64_t size = geometry.pool_bytes - pool.last_offset;
  if (size > kLargestBlock || size != 16 * (uint64_t{pool.size_index} + 1)) return std::nullopt;
  if (pool.count > (geometry.pool_bytes - kPoolHeader) / size) return std::nullopt;
  return pool.count * size + (pool.count != 0 ? kPoolHeader : 0);
}

// The table of arenas, read by its numbers until its end; it only ever doubles, so few ends are possible.
class ArenaTable {
 public:
  ArenaTable(HeapMemory& memory, uint64_t arenas, const Pymalloc::Geometry& geometry)
      : memory_(memory), arenas_(arenas), geometry_(geometry) {}

  // false: it is no such table.
  bool read(BlockTables& out) {
    for (size_t at = 0; at < kMostArenaObjects && memory_.step(); at += kFirstArenas) {
      const bool could_end = at >= kFirstArenas && std::has_single_bit(at);
      ArenaObjects block;
      if (!memory_.get(arenas_ + at * sizeof(ArenaObject), block)) {
        if (!could_end) out.problem = "a part of the table of arenas could not be read";
        break;
      }
      if (!std::all_of(block.begin(), block.end(), [&](const auto& each) { return plausible(each); })) {
        if (!could_end) out.problem = "an entry of the table of arenas is none";
        break;
      }
      for (size_t i = 0; i < block.size(); ++i) {
        if (block[i].address == 0) continue;
        pending_.push_back({at + i, block[i]});
        if (pending_.size() == kArenasTogether) read_pools(out);
      }
    }
    read_pools(out);
    out.arenas += good_;
    // In motion a few do not agree; of something else none does.
    return good_ != 0 && bad_ * 20 <= good_;
  }

 private:
  struct Pending {
    uint64_t number;
    ArenaObject arena;
  };

  bool plausible(const ArenaObject& entry) {
    if (entry.address != 0) return is_arena(memory_, entry, geometry_);
    if (entry.next == 0) return ends_++ == 0;  // the list of unused entries has one end
    const uint64_t offset = entry.next - arenas_;
    return offset % sizeof(ArenaObject) == 0 && offset / sizeof(ArenaObject) < kMostArenaObjects;
  }

  void read_pools(BlockTables& out) {
    std::vector<PoolHeader> headers(pending_.size() * geometry_.pools());
    std::vector<remote::Piece> pieces;
    for (const auto& [number, arena] : pending_)
      for (uint64_t pool = 0; pool < carved(arena, geometry_); ++pool)
        pieces.push_back({first_pool(arena, geometry_) + pool * geometry_.pool_bytes,
                          std::as_writable_bytes(std::span(&headers[pieces.size()], 1)), false, false});
    if (!memory_.read_each(pieces)) out.problem = "not all pools were read within the budget of a reading";
    size_t at = 0;
    for (const auto& [number, arena] : pending_) {
      const size_t pools = carved(arena, geometry_);
      add(out, number, arena, std::span(pieces).subspan(at, pools), std::span(headers).subspan(at, pools));
      at += pools;
    }
    pending_.clear();
  }

  void add(BlockTables& out, uint64_t number, const ArenaObject& arena, std::span<const remote::Piece> pieces,
           std::span<const PoolHeader> headers) {
    Block block{{arena.address, arena.address + geometry_.arena_bytes}};
    size_t good = 0, bad = 0;
    uint64_t unknown = 0;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const std::optional<uint64_t> used =
          pieces[i].there ? used_in(headers[i], number, geometry_) : std::nullopt;
      good += used ? 1 : 0;
      bad += pieces[i].there && !used ? 1 : 0;
      block.used_bytes += used ? *used : geometry_.pool_bytes;
      unknown += used ? 0 : geometry_.pool_bytes;
    }
    if (bad > good) {
      ++bad_;
      return;
    }
    if (good != 0) ++good_;
    if (!memory_.keep(sizeof(Block))) {
      out.problem = "there are more arenas than one reading may keep";
      return;
    }
    out.unknown_bytes += unknown;
    out.blocks.push_back(block);
  }

  HeapMemory& memory_;
  uint64_t arenas_;
  const Pymalloc::Geometry& geometry_;
  std::vector<Pending> pending_;
  size_t good_ = 0, bad_ = 0;
  int ends_ = 0;
};

// What variables point to, and from where, sorted. No hash table: the target chooses the words.
using Pointers = std::vector<std::pair<uint64_t, uint64_t>>;

Pointers pointers_in(HeapMemory& memory, const AddressRange& data) {
  Pointers out;
  each_word(memory, data, [&](uint64_t place, uint64_t word) {
    if (word % 16 == 0 && !memory.span(word).empty() && memory.keep(sizeof(Pointers::value_type)))
      out.emplace_back(word, place);
  });
  std::sort(out.begin(), out.end());
  return out;
}

// Where the table of arenas begins, if `block` at `address` is a part of one: the first pool of an arena has its number.
struct Beginning {
  uint64_t arenas;
  const Pymalloc::Geometry* geometry;
};
std::optional<Beginning> beginning_of(HeapMemory& memory, uint64_t address, const ArenaObjects& block) {
  for (const Pymalloc::Geometry& geometry : kGeometries) {
    for (size_t i = 0; i < block.size(); ++i) {
      PoolHeader pool;
      if (block[i].address == 0 || !is_arena(memory, block[i], geometry) || carved(block[i], geometry) == 0 ||
          !memory.get(first_pool(block[i], geometry), pool) || pool.arena >= kMostArenaObjects ||
          !used_in(pool, pool.arena, geometry))
        continue;
      return Beginning{address + i * sizeof(ArenaObject) - pool.arena * sizeof(ArenaObject), &geometry};
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_python(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.find("python") != std::string_view::npos;
}

bool Pymalloc::find(HeapMemory& memory) {
  found_.clear();
  std::vector<ModuleData> modules = module_data(memory.vmas());
  // The interpreter's own file; else, where it is a part of another program, any.
  std::stable_partition(modules.begin(), modules.end(),
                        [](const auto& data) { return is_python(data.name); });
  for (const ModuleData& data : modules) {
    if (!found_.empty() && !is_python(data.name)) break;
    find_in(memory, data.range);
  }
  return !found_.empty();
}

void Pymalloc::find_in(HeapMemory& memory, const AddressRange& data) {
  const Pointers pointers = pointers_in(memory, data);
  std::vector<ArenaObjects> blocks(512);
  for (auto next = pointers.begin(); next != pointers.end();) {
    std::vector<remote::Piece> pieces;
    for (; next != pointers.end() && pieces.size() < blocks.size(); ++next)
      if (next == pointers.begin() || next->first != std::prev(next)->first)
        pieces.push_back(
            {next->first, std::as_writable_bytes(std::span(&blocks[pieces.size()], 1)), false, false});
    if (!memory.read_each(pieces)) return;
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (!pieces[i].there) continue;
      const std::optional<Beginning> found = beginning_of(memory, pieces[i].address, blocks[i]);
      if (!found || std::any_of(found_.begin(), found_.end(),
                                [&](const Found& known) { return known.arenas == found->arenas; }))
        continue;
      Found table{{}, found->arenas, found->geometry};
      for (auto from =
               std::lower_bound(pointers.begin(), pointers.end(), std::pair(found->arenas, uint64_t{0}));
           from != pointers.end() && from->first == found->arenas; ++from)
        table.places.push_back(from->second);
      BlockTables trial;
      if (!table.places.empty() && ArenaTable(memory, table.arenas, *table.geometry).read(trial))
        found_.push_back(std::move(table));
    }
  }
}

Result<BlockTables> Pymalloc::read(HeapMemory& memory) {
  BlockTables out;
  for (const Found& table : found_) {
    const bool there = std::any_of(table.places.begin(), table.places.end(), [&](uint64_t place) {
      uint64_t word = 0;
      return memory.word(place, word) && word == table.arenas;
    });
    if (!there || !ArenaTable(memory, table.arenas, *table.geometry).read(out))
      return Error(ErrorCode::kDamaged, "the table of arenas of CPython is not where it was");
  }
  return out;
}

}  // namespace memwhy::allocators
