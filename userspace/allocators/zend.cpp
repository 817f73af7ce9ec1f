// SPDX-License-Identifier: Apache-2.0
#include "allocators/zend.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <set>

#include "allocators/aligned_heads.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kPages = Zend::kChunk / kPageBytes;
constexpr uint64_t kHeapInChunk = 64;  // of the first chunk

// Words of a chunk's map. What is neither is free.
constexpr uint32_t kPageRun = 0x4000'0000, kSlotRun = 0x8000'0000, kPagesOfRun = 0x3ff, kSlotSize = 0x1f;
constexpr uint32_t kHeader = kPageRun | 1;  // of the first page

// Of a size of slots: bytes of one, and pages of a run of them.
struct Slots {
  uint16_t bytes, pages;
};
constexpr std::array<Slots, 30> kSlotSizes = {
    {{8, 1},    {16, 1},   {24, 1},   {32, 1},   {40, 1},   {48, 1},  {56, 1},  {64, 1},
     {80, 1},   {96, 1},   {112, 1},  {128, 1},  {160, 1},  {192, 1}, {224, 1}, {256, 1},
     {320, 5},  {384, 3},  {448, 1},  {512, 1},  {640, 5},  {768, 3}, {896, 2}, {1024, 2},
     {1280, 5}, {1536, 3}, {1792, 7}, {2048, 4}, {2560, 5}, {3072, 3}}};

// zend_mm_heap: two words of settings and two of statistics (and a key, since 8.4), a free slot of each size, some words that
// differ between releases, huge_list, and main_chunk, which is known.
constexpr size_t kFirstSlot = 4, kLastSlot = 5, kMostBetween = 16;
constexpr size_t kHeapWords = kLastSlot + kSlotSizes.size() + kMostBetween;

using HeadPage = std::array<std::byte, kPageBytes>;

struct Chunk {
  uint64_t at = 0, heap = 0;
  std::array<uint32_t, kPages> map{};
};

template <typename T>
T value_at(const HeadPage& page, size_t at) {
  T value{};
  std::memcpy(&value, page.data() + at, sizeof value);
  return value;
}

// The map follows the bitmap of the pages, which has as many pages free as the chunk says it has.
std::optional<Chunk> chunk_at(uint64_t at, const HeadPage& page) {
  const auto free_pages = value_at<uint32_t>(page, 24);
  Chunk out{at, value_at<uint64_t>(page, 0), {}};
  const uint64_t next = value_at<uint64_t>(page, 8), previous = value_at<uint64_t>(page, 16);
  if (out.heap % Zend::kChunk != kHeapInChunk || next % Zend::kChunk != 0 || previous % Zend::kChunk != 0 ||
      free_pages >= kPages)
    return std::nullopt;
  for (size_t map = kHeapInChunk + kPages / 8; map + sizeof out.map <= page.size(); map += 8) {
    if (value_at<uint32_t>(page, map) != kHeader) continue;
    size_t taken = 0;
    for (size_t word = 0; word < kPages / 64; ++word)
      taken += static_cast<size_t>(std::popcount(value_at<uint64_t>(page, map - kPages / 8 + 8 * word)));
    if (taken + free_pages != kPages) continue;
    std::memcpy(out.map.data(), page.data() + map, sizeof out.map);
    // A page that is not taken has what its last use left in the map.
    for (size_t i = 0; i < kPages; ++i)
      if ((value_at<uint64_t>(page, map - kPages / 8 + i / 64 * 8) >> i % 64 & 1) == 0) out.map[i] = 0;
    return out;
  }
  return std::nullopt;
}

bool is_mapped_whole(const HeapMemory& memory, uint64_t chunk) {
  const events::Vma* const vma = memory.mapping(chunk);
  return vma != nullptr && vma->range.end - chunk >= Zend::kChunk;
}

// In order of address. Stops at a budget that is used up: memory.step() knows.
std::vector<Chunk> chunks_of(HeapMemory& memory, size_t most) {
  std::vector<Chunk> out;
  each_head<HeadPage>(memory, Zend::kChunk, HeapMemory::private_anonymous,
                      [&](std::span<const HeadAt<HeadPage>> heads) {
                        for (const auto& [at, head] : heads)
                          if (const auto chunk = chunk_at(at, head);
                              chunk && is_mapped_whole(memory, at) && memory.keep(sizeof(Chunk)))
                            out.push_back(*chunk);
                        return out.size() < most;
                      });
  return out;
}

// Free slots by the page of the chunk that their run begins at.
using FreeSlots = std::map<uint64_t, uint32_t>;

class HeapReader {
 public:
  HeapReader(HeapMemory& memory, const std::vector<Chunk>& chunks, BlockTables& out)
      : memory_(memory), chunks_(chunks), out_(out) {}

  void read(uint64_t heap) {
    std::array<uint64_t, kHeapWords> words{};
    const uint64_t main = heap - kHeapInChunk;
    const Chunk* const first = chunk_of(main);
    if (first == nullptr || first->heap != heap || !memory_.get(heap, words))
      return problem("a heap of PHP has no chunk of its own");
    const auto found = std::find(words.begin() + kFirstSlot + kSlotSizes.size() + 1, words.end(), main);
    size_t slots = kFirstSlot;
    while (slots <= kLastSlot && !are_slots(&words[slots])) ++slots;
    if (found == words.end() || slots > kLastSlot) return problem("a heap of PHP is not as memwhy knows it");
    for (size_t size = 0; size < kSlotSizes.size(); ++size) count_free(size, words[slots + size]);
    add_huge(*(found - 1));
    ++out_.arenas;
  }

  void add(const Chunk& chunk) {
    for (size_t page = 0; page < kPages;) {
      const uint32_t word = chunk.map[page];
      Block block{{chunk.at + page * kPageBytes, 0}};
      size_t pages = 1;
      if (page == 0) {
        block.use = BlockUse::kTables;
      } else if ((word & kSlotRun) != 0) {
        const Slots& slots = kSlotSizes[std::min<size_t>(word & kSlotSize, kSlotSizes.size() - 1)];
        pages = slots.pages;
        const uint64_t all = pages * kPageBytes / slots.bytes;
        const auto free = free_.find(block.range.start);
        block.used_bytes =
            (all - std::min<uint64_t>(all, free == free_.end() ? 0 : free->second)) * slots.bytes;
      } else if ((word & kPageRun) != 0) {
        pages = std::max<size_t>(1, word & kPagesOfRun);
        block.used_bytes = pages * kPageBytes;
      } else {
        while (page + pages < kPages && chunk.map[page + pages] == 0) ++pages;
        block.use = BlockUse::kFree;
      }
      pages = std::min(pages, kPages - page);
      block.range.end = block.range.start + pages * kPageBytes;
      block.used_bytes = std::min(block.used_bytes, block.range.bytes());
      if (!memory_.keep(sizeof(Block))) return problem("there are more chunks than one reading may keep");
      out_.blocks.push_back(block);
      page += pages;
    }
  }

 private:
  void problem(std::string_view what) {
    if (out_.problem.empty()) out_.problem = what;
  }
  const Chunk* chunk_of(uint64_t address) const {
    const auto found = std::lower_bound(chunks_.begin(), chunks_.end(), round_down(address, Zend::kChunk),
                                        [](const Chunk& each, uint64_t at) { return each.at < at; });
    return found != chunks_.end() && found->at == round_down(address, Zend::kChunk) ? &*found : nullptr;
  }
  // Where the run of slots begins that this one is in; 0: it is no slot of that size.
  uint64_t run_of(size_t size, uint64_t slot) const {
    const Chunk* const chunk = chunk_of(slot);
    if (chunk == nullptr) return 0;
    const size_t page = slot % Zend::kChunk / kPageBytes;
    const uint32_t word = chunk->map[page];
    const size_t within =
        (word & kPageRun) != 0 ? word >> 16 & 0x1ff : 0;  // pages from the run's first one on
    if ((word & kSlotRun) == 0 || (word & kSlotSize) != size || within > page) return 0;
    return chunk->at + (page - within) * kPageBytes;
  }
  bool are_slots(const uint64_t* words) const {
    for (size_t size = 0; size < kSlotSizes.size(); ++size)
      if (words[size] != 0 && run_of(size, words[size]) == 0) return false;
    return true;
  }
  // A list that leaves slots of its size, or has more of them than there are, was in motion.
  void count_free(size_t size, uint64_t slot) {
    const uint64_t most = chunks_.size() * (Zend::kChunk / kSlotSizes[size].bytes);
    for (uint64_t n = 0; slot != 0; ++n) {
      const uint64_t run = run_of(size, slot);
      if (run == 0 || n > most || !memory_.step() || !memory_.keep(sizeof(FreeSlots::value_type)))
        return problem("a list of free slots of PHP was in motion, or is long");
      ++free_[run];
      if (!memory_.word(slot, slot)) return problem("a free slot of PHP is swapped, or not there");
    }
  }
  // { address, bytes, next } each.
  void add_huge(uint64_t list) {
    constexpr size_t kMostHuge = 1 << 16;
    for (size_t n = 0; list != 0 && n < kMostHuge; ++n) {
      std::array<uint64_t, 3> huge{};
      if (!memory_.step() || !memory_.get(list, huge))
        return problem("the list of huge blocks of PHP was not read to its end");
      const AddressRange range{huge[0], huge[0] + huge[1]};
      if (huge[1] == 0 || range.end < range.start || huge[0] % Zend::kChunk != 0 ||
          memory_.mapping(huge[0]) == nullptr || !memory_.keep(sizeof(Block)))
        return problem("the list of huge blocks of PHP was in motion");
      out_.blocks.push_back({range, BlockUse::kObjects, false, range.bytes()});
      list = huge[2];
    }
  }

  HeapMemory& memory_;
  const std::vector<Chunk>& chunks_;
  BlockTables& out_;
  FreeSlots free_;
};

}  // namespace

bool Zend::find(HeapMemory& memory) { return !chunks_of(memory, 1).empty(); }

Result<BlockTables> Zend::read(HeapMemory& memory) {
  constexpr size_t kMostChunks = 1 << 16;
  const std::vector<Chunk> chunks = chunks_of(memory, kMostChunks);
  if (chunks.empty()) return Error(ErrorCode::kDamaged, "no chunk of PHP's heap is where one was");
  BlockTables out;
  HeapReader reader(memory, chunks, out);
  std::set<uint64_t> heaps;
  for (const Chunk& chunk : chunks)
    if (heaps.insert(chunk.heap).second) reader.read(chunk.heap);
  for (const Chunk& chunk : chunks) reader.add(chunk);
  if (!memory.step()) out.problem = "there is more than one reading may read";
  return out;
}

}  // namespace memwhy::allocators
