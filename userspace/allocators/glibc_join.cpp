// SPDX-License-Identifier: Apache-2.0
#include "allocators/glibc_join.h"

#include <algorithm>
#include <utility>

#include "allocators/resident.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};
constexpr uint64_t kLargeRun = 128 << 10;

// From where malloc_trim(0) gives top back by brk: whole pages of it (huge ones with glibc.malloc.hugetlb=1), but for the
// least chunk, if brk ends where top ends.
uint64_t trim_from(const Glibc& libc, const Arena& arena, const Region& region,
                   std::span<const events::Vma> vmas) {
  if (!arena.main || !region.has_top) return kNever;
  const uint64_t end = region.range.end;
  uint64_t brk = 0;
  for (const events::Vma& vma : vmas)
    if (vma.name == "[heap]") brk = std::max(brk, vma.range.end);
  const uint64_t grain = libc.par && libc.par->thp_pagesize != 0 ? libc.par->thp_pagesize : kPageBytes;
  const uint64_t size = end - arena.merged_top_or_top();
  if (brk != end || size <= kMinChunk + 1) return kNever;
  const uint64_t back = round_down(size - kMinChunk - 1, grain);
  return back == 0 ? kNever : end - back;
}

class Joining {
 public:
  Joining(std::span<const events::ScanRun> resident, JoinedHeap& out) : resident_(resident), out_(out) {}

  // `own`: malloc_trim, as the program calls it, is this libc's.
  void add(const Glibc& libc, bool own, const Arena& arena, const Region& region,
           std::span<const events::Vma> vmas) {
    const PageRange pages = claim(region.range);
    if (pages.empty() || region.free.empty()) return;
    const uint64_t back = trim_from(libc, arena, region, vmas);
    events::AllocatorHeap& heap = out_.heap;
    uint64_t used = 0, free = 0, large = 0, row = 0;
    HugeParts parts;
    each_resident(resident_, pages.start, pages.end, [&](PageNumber page, bool huge) {
      const size_t i = page - region.first_page();
      const uint64_t address = page << kPageShift;
      const bool dropped = region.trimmed[i] || address >= back;
      const bool reached = dropped && own;
      const uint64_t top =
          region.has_top && address + kPageBytes > region.chunks.end
              ? std::min(address + kPageBytes, region.range.end) - std::max(address, region.chunks.end)
              : 0;
      const uint64_t in_chunks = std::min<uint64_t>(region.free[i], kPageBytes - top);
      const uint64_t all = dropped ? kPageBytes : in_chunks + top;
      used += kPageBytes - all;
      free += all;
      row = in_chunks == kPageBytes ? row + kPageBytes : 0;
      if (row == kLargeRun) large += row;
      if (row > kLargeRun) large += kPageBytes;
      if (!reached) {
        heap.pinned_bytes += dropped ? 0 : in_chunks;
        heap.top_bytes += dropped ? kPageBytes : top;
        return;
      }
      heap.trimmable_bytes += kPageBytes;
      if (huge) parts.dropped(page);
    });
    heap.trimmable_huge_bytes += parts.finish();
    heap.used_bytes += used;
    heap.large_free_bytes += large;
    if (!arena.main) heap.free_beside_main_bytes += free;
    out_.runs.push_back(run(pages, kUseArena, used, free));
  }
  // A mapped chunk, or a heap of an arena that was not read.
  void add_whole(const AddressRange& range, GlibcUse use) {
    const PageRange pages = claim(range);
    if (pages.empty()) return;
    if (use == kUseMapped)
      each_resident(resident_, pages.start, pages.end,
                    [&](PageNumber, bool) { out_.heap.mapped_bytes += kPageBytes; });
    out_.runs.push_back(run(pages, use, 0, 0));
  }

 private:
  static events::RuntimeRun run(const PageRange& pages, GlibcUse use, uint64_t used, uint64_t free) {
    events::RuntimeRun out;
    out.page = pages.start;
    out.count = static_cast<uint32_t>(pages.pages());
    out.use = use;
    out.live_bytes = used;
    out.free_bytes = free;
    return out;
  }
  // Ranges come in order; a page that two of them share is the first one's.
  PageRange claim(const AddressRange& range) {
    PageRange pages = pages_touched(range);
    pages.start = std::max(pages.start, claimed_);
    pages.end = std::min(pages.end, pages.start + UINT32_MAX);
    claimed_ = std::max(claimed_, pages.end);
    return pages;
  }

  std::span<const events::ScanRun> resident_;
  JoinedHeap& out_;
  PageNumber claimed_ = 0;
};

// Of several copies of glibc in a process the program's own is the one with the brk; loaded first, it has the highest address.
const Glibc* own_of(std::span<const Glibc> libcs) {
  const Glibc* own = nullptr;
  const auto has_brk = [](const Glibc& libc) {
    return !libc.arenas.empty() && libc.arenas.front().contiguous;
  };
  for (const Glibc& libc : libcs)
    if (own == nullptr ||
        std::pair(has_brk(libc), libc.main_arena) > std::pair(has_brk(*own), own->main_arena))
      own = &libc;
  return own;
}

// Chunks in caches look used: their bytes are the free ones of the run that they begin in.
void move_cached(const Glibc& libc, JoinedHeap& out) {
  for (const TcacheList& list : libc.cached) {
    const PageNumber page = list.first >> kPageShift;
    auto after = std::upper_bound(out.runs.begin(), out.runs.end(), page,
                                  [](PageNumber at, const events::RuntimeRun& run) { return at < run.page; });
    if (after == out.runs.begin()) continue;
    events::RuntimeRun& run = *std::prev(after);
    if (page >= run.page + run.count || run.use != kUseArena) continue;
    const uint64_t moved = std::min(list.bytes, run.live_bytes);
    run.live_bytes -= moved;
    run.free_bytes += moved;
    out.heap.cached_bytes += moved;
    out.heap.used_bytes -= std::min(moved, out.heap.used_bytes);
  }
}

}  // namespace

JoinedHeap join_residency(std::span<const Glibc> libcs, std::span<const events::Vma> vmas,
                          std::span<const events::ScanRun> resident) {
  struct Part {
    AddressRange range;
    const Glibc* libc;
    const Arena* arena;
    const Region* region;  // nullptr: whole
    GlibcUse use;
  };
  std::vector<Part> parts;
  JoinedHeap out;
  for (const Glibc& libc : libcs) {
    for (const Arena& arena : libc.arenas) {
      ++out.heap.arenas;
      out.heap.unread_arenas += arena.believed ? 0 : 1;
      out.heap.system_bytes += arena.system_bytes;
      out.heap.unknown_bytes += arena.unknown_bytes;
      if (out.heap.problem.empty()) out.heap.problem = arena.cut;
      for (const Region& region : arena.regions)
        parts.push_back({region.range, &libc, &arena, &region, kUseArena});
      if (!arena.believed && !arena.main)
        parts.push_back({arena.regions.empty() ? AddressRange{round_down(arena.address, kHeapMax),
                                                              round_up(arena.address + 1, kHeapMax)}
                                               : AddressRange{},
                         &libc, &arena, nullptr, kUseUnread});
    }
    for (const AddressRange& chunk : libc.mapped)
      parts.push_back({chunk, &libc, nullptr, nullptr, kUseMapped});
    out.heap.mapped_chunks += libc.mapped.size();
    out.heap.caches += libc.tcaches;
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.range < b.range; });
  const Glibc* const own = own_of(libcs);
  Joining joining(resident, out);
  for (const Part& part : parts)
    if (part.region != nullptr)
      joining.add(*part.libc, part.libc == own, *part.arena, *part.region, vmas);
    else if (!part.range.empty())
      joining.add_whole(part.range, part.use);
  for (const Glibc& libc : libcs) move_cached(libc, out);
  return out;
}

}  // namespace memwhy::allocators
