// SPDX-License-Identifier: Apache-2.0
#include "allocators/musl.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "allocators/module_data.h"

namespace memwhy::allocators {
namespace {

// By class, in units of 16 bytes.
constexpr std::array<uint16_t, 48> kSlotUnits = {
    1,   2,   3,   4,    5,    6,    7,    8,    9,    10,   12,   15,   18,   20,   25,   31,
    36,  42,  50,  63,   72,   84,   102,  127,  146,  170,  204,  255,  292,  340,  409,  511,
    584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191};
constexpr uint64_t kUnit = 16, kGroupHeader = 16;
constexpr uint64_t kHeadOffsets[] = {
    56, 64};  // of the pointer to the first area, after the secret; builds differ
constexpr size_t kMostMetas = 101;

struct Meta {
  uint64_t prev, next, group;
  uint32_t available, freed;
  uint64_t bits;
  uint64_t last_slot() const { return bits & 31; }
  uint64_t size_class() const { return bits >> 6 & 63; }
  uint64_t pages() const { return bits >> 12; }
};
static_assert(sizeof(Meta) == 40);

struct Area {
  uint64_t check, next;
  int32_t slots, padding;
  Meta metas[kMostMetas];
};
static_assert(sizeof(Area) <= kPageBytes);

// What a group's slots hold; nullopt: it is none.
std::optional<Block> block_of(const Meta& meta) {
  if (meta.last_slot() == 0 && meta.pages() != 0) {
    const uint64_t bytes = meta.pages() << kPageShift;
    if (meta.pages() >= uint64_t{1} << 35 || meta.group + bytes < meta.group) return std::nullopt;
    const bool in_use = ((meta.available | meta.freed) & 1) == 0;
    return Block{{meta.group, meta.group + bytes}, BlockUse::kObjects, false, in_use ? bytes : 0};
  }
  if (meta.size_class() >= kSlotUnits.size()) return std::nullopt;
  const uint64_t slots = meta.last_slot() + 1, size = kSlotUnits[meta.size_class()] * kUnit;
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << slots) - 1);
  const auto free = static_cast<uint64_t>(std::popcount((meta.available | meta.freed) & mask));
  return Block{{meta.group, meta.group + kGroupHeader + slots * size},
               BlockUse::kObjects,
               false,
               kGroupHeader + (slots - free) * size};
}

// A group may lie in a slot of a larger one, which then looks used: of the larger one only the rest counts.
// Pages belong to the outermost group, with the bytes in use of all that is in it.
void nest(std::vector<Block>& blocks) {
  std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return a.range.start != b.range.start ? a.range.start < b.range.start : a.range.end > b.range.end;
  });
  std::vector<Block> out;
  for (const Block& block : blocks) {
    if (!out.empty() && block.range.end <= out.back().range.end) {
      uint64_t& used = out.back().used_bytes;
      const uint64_t free = block.range.bytes() - std::min(block.range.bytes(), block.used_bytes);
      used -= std::min(used, free);
    } else if (!out.empty() && block.range.start >> kPageShift <= (out.back().range.end - 1) >> kPageShift) {
      out.back().range.end = block.range.end;  // they share a page
      out.back().used_bytes += block.used_bytes;
    } else {
      out.push_back(block);
    }
  }
  blocks = std::move(out);
}

constexpr const char* kMoreGroups = "there are more groups than one reading may keep";
struct AreasRead {
  BlockTables tables;
  size_t good = 0, bad = 0;
};

// From area to area: each begins with the secret. A list that loops ends with the budget.
AreasRead read_areas(HeapMemory& memory, uint64_t secret, uint64_t area_at) {
  AreasRead out;
  while (area_at != 0) {
    Area area;
    if (!memory.step() || !memory.keep(sizeof(Block))) {
      out.tables.problem = kMoreGroups;
      break;
    }
    if (area_at % kPageBytes != 0 || !memory.get(area_at, area) || area.check != secret) {
      ++out.bad;
      break;
    }
    out.tables.blocks.push_back({{area_at, area_at + kPageBytes}, BlockUse::kTables});
    const size_t slots = static_cast<size_t>(std::clamp<int32_t>(area.slots, 0, kMostMetas));
    std::array<uint64_t, kMostMetas> back{};
    std::vector<remote::Piece> pieces;
    for (size_t i = 0; i < slots; ++i)
      if (area.metas[i].group != 0)
        pieces.push_back({area.metas[i].group, std::as_writable_bytes(std::span(&back[i], 1)), false, false});
    if (!memory.read_each(pieces) || !memory.keep(pieces.size() * sizeof(Block))) {
      out.tables.problem = kMoreGroups;
      break;
    }
    for (const remote::Piece& piece : pieces) {
      const size_t i = static_cast<size_t>(reinterpret_cast<uint64_t*>(piece.into.data()) - back.data());
      const std::optional<Block> block = block_of(area.metas[i]);
      const bool names_it = piece.there && back[i] == area_at + offsetof(Area, metas) + i * sizeof(Meta);
      if (names_it && block) out.tables.blocks.push_back(*block);
      (names_it && block ? out.good : out.bad) += piece.there ? 1 : 0;
    }
    area_at = area.next;
  }
  return out;
}

}  // namespace

bool Musl::find(HeapMemory& memory) {
  bool found = false;
  for (const ModuleData& data : module_data(memory.vmas())) {
    each_word(memory, data.range, [&](uint64_t place, uint64_t word) {
      if (found || word % kPageBytes != 0 || memory.mapping(word) == nullptr) return;
      found = is_head(memory, place, word);
    });
    if (found) return true;
  }
  return false;
}

bool Musl::is_head(HeapMemory& memory, uint64_t place, uint64_t area) {
  uint64_t first = 0;
  if (!memory.word(area, first) || first >> 16 == 0) return false;
  for (const uint64_t offset : kHeadOffsets) {
    uint64_t secret = 0;
    if (!memory.word(place - offset, secret) || secret != first) continue;
    const AreasRead areas = read_areas(memory, secret, area);
    if (areas.good == 0 || areas.bad * 50 > areas.good) continue;
    secret_ = secret;
    head_at_ = place;
    return true;
  }
  return false;
}

Result<BlockTables> Musl::read(HeapMemory& memory) {
  uint64_t head = 0;
  if (!memory.word(head_at_, head))
    return Error(ErrorCode::kDamaged, "the metadata of musl's malloc is not where it was");
  AreasRead areas = read_areas(memory, secret_, head);
  if (areas.good == 0 || areas.bad * 10 > areas.good)
    return Error(ErrorCode::kDamaged, "the metadata of musl's malloc contradicts itself");
  if (areas.bad != 0 && areas.tables.problem.empty())
    areas.tables.problem = "a part of the metadata was in motion";
  areas.tables.arenas = 1;
  nest(areas.tables.blocks);
  return std::move(areas.tables);
}

}  // namespace memwhy::allocators
