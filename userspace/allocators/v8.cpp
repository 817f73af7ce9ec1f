// SPDX-License-Identifier: Apache-2.0
#include "allocators/v8.h"

#include <algorithm>
#include <array>
#include <set>

#include "allocators/aligned_heads.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kLargestV8Page = uint64_t{16} << 30, kLargestV8Header = 64 << 10;
constexpr uint64_t kYoungFlags = 0x18;  // in one half of what is young, or in the other

using HeaderWords = std::array<uint64_t, 13>;

struct V8Page {
  AddressRange range, objects;
  uint64_t used_bytes = 0, heap = 0, flags = 0;
  // The record that the page's allocator, another part of V8, has of it must agree.
  bool proves(uint64_t at, uint64_t region, uint64_t region_bytes) const {
    return region == at && region_bytes == range.bytes() && range.bytes() % kPageBytes == 0 &&
           range.bytes() >= 2 * kPageBytes && range.bytes() <= kLargestV8Page && objects.start > at &&
           objects.start - at <= kLargestV8Header && objects.start < objects.end &&
           objects.end <= range.end && used_bytes <= objects.bytes() && heap != 0;
  }
};

// BasicMemoryChunk, up to V8 11.
std::optional<V8Page> classic_page(uint64_t at, const HeaderWords& words) {
  if (words[0] > kLargestV8Page) return std::nullopt;
  const V8Page page{{at, at + words[0]}, {words[3], words[4]}, words[5], words[2], words[1]};
  return page.proves(at, words[10], words[11]) ? std::optional(page) : std::nullopt;
}

// MemoryChunkMetadata at the start of its page, with a link to itself: V8 12.
std::optional<V8Page> page_with_record(uint64_t at, const HeaderWords& words) {
  if (words[1] != at || words[2] > kLargestV8Page) return std::nullopt;
  const V8Page page{{at, at + words[2]}, {words[4], words[5]}, words[6], words[3], words[0]};
  return page.proves(at, words[11], words[12]) ? std::optional(page) : std::nullopt;
}

// In a place of its own: since V8 13.
std::optional<V8Page> page_of_record(uint64_t at, uint64_t flags, const HeaderWords& record) {
  if (record[6] > kLargestV8Page) return std::nullopt;
  const V8Page page{{at, at + record[6]}, {record[9], record[7]}, record[3], record[8], flags};
  return page.proves(at, record[1], record[2]) ? std::optional(page) : std::nullopt;
}

// Guards between code and what is not committed yet are a part of a page, and not readable.
bool could_be_part(const events::Vma& vma) {
  return !vma.shared && vma.inode == 0 && (vma.name.empty() || vma.name.starts_with("[anon:v8"));
}
bool could_hold(const events::Vma& vma) { return vma.read && could_be_part(vma); }

// Mappings that adjoin and could be parts of pages, as one each, in order.
std::vector<AddressRange> places_of(const std::vector<events::Vma>& vmas) {
  std::vector<AddressRange> places;
  for (const events::Vma& vma : vmas) {
    if (!could_be_part(vma)) continue;
    if (!places.empty() && places.back().end == vma.range.start)
      places.back().end = vma.range.end;
    else
      places.push_back(vma.range);
  }
  return places;
}

// A header may be the remains of a page that was given back, or name more than exists.
bool is_mapped(const std::vector<AddressRange>& places, const AddressRange& page) {
  const auto place = std::partition_point(places.begin(), places.end(),
                                          [&](const AddressRange& each) { return each.end <= page.start; });
  return place != places.end() && place->start <= page.start && page.end <= place->end;
}

using V8Heads = std::span<const HeadAt<HeaderWords>>;

// Pages that have their record in a place of its own.
struct Recorded {
  uint64_t at = 0, flags = 0, record = 0;
};

void add_recorded(HeapMemory& memory, const std::vector<AddressRange>& places,
                  const std::vector<Recorded>& pages, std::vector<V8Page>& out) {
  std::vector<HeaderWords> records(pages.size());
  std::vector<remote::Piece> pieces;
  for (size_t i = 0; i < pages.size(); ++i)
    pieces.push_back({pages[i].record, std::as_writable_bytes(std::span(&records[i], 1)), false, false});
  if (!memory.read_each(pieces)) return;
  for (size_t i = 0; i < pages.size(); ++i)
    if (pieces[i].there)
      if (const auto page = page_of_record(pages[i].at, pages[i].flags, records[i]);
          page && is_mapped(places, page->range))
        out.push_back(*page);
}

void add_pages(HeapMemory& memory, const std::vector<AddressRange>& places, V8Heads heads,
               std::vector<V8Page>& out) {
  std::vector<Recorded> recorded;
  for (const auto& [at, words] : heads) {
    auto page = classic_page(at, words);
    if (!page) page = page_with_record(at, words);
    if (page) {
      if (is_mapped(places, page->range)) out.push_back(*page);
    } else if (words[1] % 8 == 0 && memory.writable(words[1])) {
      recorded.push_back({at, words[0], words[1]});
    }
  }
  add_recorded(memory, places, recorded, out);
}

// Stops at a budget that is used up: memory.step() knows.
std::vector<V8Page> pages_of(HeapMemory& memory, size_t most) {
  const std::vector<AddressRange> places = places_of(memory.vmas());
  std::vector<V8Page> out;
  each_head<HeaderWords>(memory, V8::kPage, could_hold, [&](V8Heads heads) {
    if (!memory.keep(heads.size() * sizeof(V8Page))) return false;
    add_pages(memory, places, heads, out);
    return out.size() < most;
  });
  return out;
}

bool executable(const HeapMemory& memory, uint64_t at) {
  const events::Vma* const vma = memory.mapping(at);
  return vma != nullptr && vma->exec;
}

}  // namespace

bool is_made_code(const events::Vma& vma) { return vma.exec && could_hold(vma); }

bool V8::find(HeapMemory& memory) { return !pages_of(memory, 1).empty(); }

Result<BlockTables> V8::read(HeapMemory& memory) {
  constexpr size_t kMostV8Pages = 1 << 20, kMostV8Heaps = 1024;
  const std::vector<V8Page> pages = pages_of(memory, kMostV8Pages);
  BlockTables out;
  std::set<uint64_t> heaps;
  for (const V8Page& page : pages) {
    if (!memory.step() || !memory.keep(sizeof(Block))) break;
    Block block{page.range, BlockUse::kObjects, false,
                page.used_bytes + (page.objects.start - page.range.start)};
    if ((page.flags & kYoungFlags) != 0)
      block.use = BlockUse::kYoung;
    else if (executable(memory, page.objects.start))
      block.use = BlockUse::kCode;
    out.blocks.push_back(block);
    if (heaps.size() < kMostV8Heaps) heaps.insert(page.heap);
  }
  if (!memory.step() || pages.size() >= kMostV8Pages || out.blocks.size() < pages.size())
    out.problem = "there are more pages than one reading may read";
  if (out.blocks.empty()) return Error(ErrorCode::kDamaged, "no page of V8 is where one was");
  out.arenas = heaps.size();
  return out;
}

}  // namespace memwhy::allocators
