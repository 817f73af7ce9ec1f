// SPDX-License-Identifier: Apache-2.0
#include "goruntime/pages.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "goruntime/geometry.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kArenaBase =
    0xffff800000000000;                 // arenaBaseOffset: addresses are indexed modulo 2^64 from it
constexpr uint64_t kPallocBytes = 128;  // of one chunk: 64 bytes allocated, 64 bytes scavenged
constexpr uint64_t kCachePages = 64;    // of a p.pcache; a block of as many begins at a multiple of them
constexpr uint64_t kMostPageRanges = 1 << 20;
constexpr size_t kMostRuns = 1 << 25;  // 256 GiB of spans of one page
constexpr uint64_t kMostHeapBytes =
    uint64_t{1} << 44;                 // below it: the pages of the system in a run are counted in 32 bits
constexpr uint64_t kPagesAStep = 512;  // sorting them is as much work as a call of the system

Error torn(const char* what) { return {ErrorCode::kAbsent, std::string("reading the Go heap's ") + what}; }

// A page cache of a P: pages that the bitmaps call allocated and that are in no span.
struct PageCache {
  uint64_t base = 0, free = 0, scavenged = 0;
};

// Tables of the part of an arena that is in use.
struct ArenaTables {
  std::vector<uint64_t> spans;   // of each page
  Bytes page_in_use;             // one bit for the first page of each span of objects
  std::vector<uint64_t> palloc;  // 16 words for each chunk
};

class Pass {
 public:
  Pass(remote::RemoteMemory& memory, const Globals& globals) : memory_(memory), globals_(globals) {}

  Result<HeapPages> read() {
    HeapPages out;
    Result<HeapCounters> before = read_counters(memory_, globals_);
    if (!before) return std::move(before).error();
    out.before = *before;
    if (Status status = read_ranges(); !status) return std::move(status).error();
    if (Status status = read_caches(); !status) return std::move(status).error();
    for (const AddressRange& range : ranges_)
      for (uint64_t at = range.start; at < range.end;) {
        const uint64_t end =
            std::min(range.end, ((at - kArenaBase) / kArenaBytes + 1) * kArenaBytes + kArenaBase);
        if (Status status = read_arena(at, end); !status) return std::move(status).error();
        const size_t runs_before = out.runs.size();
        classify(at, end, out);
        if (out.runs.size() > kMostRuns || !memory_.keep((out.runs.size() - runs_before) * sizeof(PageRun)) ||
            !memory_.step((end - at) / kGoPageBytes / kPagesAStep))
          return torn("span table: it has too many spans");
        at = end;
      }
    Result<HeapCounters> after = read_counters(memory_, globals_);
    if (!after) return std::move(after).error();
    out.after = *after;
    for (const PageRun& run : out.runs)
      out.bytes[static_cast<size_t>(run.page_class)] += run.pages * kGoPageBytes;
    out.tables = std::move(met_);
    out.quiet = out.before == out.after;
    out.verified = verify(out);
    return out;
  }

 private:
  Status read_ranges() {
    Bytes header(24);
    if (Status status = memory_.read(globals_.mheap + globals_.layout->mheap.pages_in_use.offset, header);
        !status)
      return status;
    const Slice in_use = slice(header, 0);
    if (in_use.length > kMostPageRanges) return torn("ranges: there are too many");
    Result<std::vector<uint64_t>> words =
        remote::read_array<uint64_t>(memory_, in_use.data, 2 * in_use.length);
    if (!words) return std::move(words).error();
    uint64_t total = 0;
    for (size_t i = 0; i < words->size(); i += 2) {
      const AddressRange range = {(*words)[i], (*words)[i + 1]};
      const bool rising = ranges_.empty() || ranges_.back().end <= range.start;
      if (range.empty() || !rising || range.end > kHeapEnd ||
          (range.start - kArenaBase) % kChunkBytesGo != 0 || (range.end - kArenaBase) % kChunkBytesGo != 0)
        return torn("ranges: they make no sense");
      total += range.bytes();
      if (total >= kMostHeapBytes) return torn("ranges: they are too large");
      ranges_.push_back(range);
    }
    Result<uint64_t> arenas =
        remote::read_value<uint64_t>(memory_, globals_.mheap + globals_.layout->mheap.arenas.offset);
    if (!arenas) return std::move(arenas).error();
    arenas_ = *arenas;
    met_.push_back(in_use.data);
    met_.push_back(arenas_ + 8 * (ranges_.empty() ? 0 : (ranges_[0].start - kArenaBase) / kArenaBytes));
    const auto& mheap = globals_.layout->mheap;
    for (const uint64_t offset :
         {uint64_t{mheap.allspans.offset}, uint64_t{mheap.pages_summary.offset} + 4 * 24})
      if (Result<uint64_t> table = remote::read_value<uint64_t>(memory_, globals_.mheap + offset))
        met_.push_back(*table);
    return {};
  }

  Status read_caches() {
    if (!globals_.allp) return {};
    Bytes header(24);
    if (Status status = memory_.read(*globals_.allp, header); !status) return status;
    const Slice all = slice(header, 0);
    if (all.length > 4096) return torn("processors: there are too many");
    Result<std::vector<uint64_t>> heads = remote::read_array<uint64_t>(memory_, all.data, all.length);
    if (!heads) return std::move(heads).error();
    const auto& p = globals_.layout->p;
    for (const uint64_t address : *heads) {
      Bytes bytes(p.pcache_scav.offset + 8);
      if (Status status = memory_.read(address, bytes); !status) return status;
      const PageCache cache = {field(bytes, p.pcache_base), field(bytes, p.pcache_cache),
                               field(bytes, p.pcache_scav)};
      if (cache.free != 0) caches_.push_back(cache);
    }
    std::sort(caches_.begin(), caches_.end(),
              [](const PageCache& a, const PageCache& b) { return a.base < b.base; });
    // Two Ps may each have pages of one block; no page is in both.
    size_t kept = 0;
    for (const PageCache& cache : caches_) {
      if (kept > 0 && caches_[kept - 1].base == cache.base) {
        caches_[kept - 1].free |= cache.free;
        caches_[kept - 1].scavenged |= cache.scavenged;
      } else {
        caches_[kept++] = cache;
      }
    }
    caches_.resize(kept);
    return {};
  }

  Status read_arena(uint64_t at, uint64_t end) {
    const auto& layout = *globals_.layout;
    const uint64_t index = (at - kArenaBase) / kArenaBytes;
    const uint64_t first = (at - kArenaBase) % kArenaBytes / kGoPageBytes, pages = (end - at) / kGoPageBytes;
    const uint64_t chunk = (at - kArenaBase) / kChunkBytesGo, chunks = pages / kChunkPagesGo;
    const Result<uint64_t> arena = pointer(arena_pointers_, arenas_, index);
    if (!arena) return arena.error();
    const Result<uint64_t> l2 =
        pointer(l2_pointers_, globals_.mheap + layout.mheap.pages_chunks.offset, chunk >> kChunkL2Bits);
    if (!l2) return l2.error();
    met_.push_back(*arena + layout.heap_arena.spans.offset);
    met_.push_back(*l2);
    // Pages of these tables that were never written are not resident, and zero.
    tables_.spans.resize(pages);
    tables_.page_in_use.resize(kArenaPages / 8);
    tables_.palloc.resize(chunks * kPallocBytes / 8);
    std::array<remote::Piece, 3> tables = {
        table_at(*arena + layout.heap_arena.spans.offset + 8 * first, std::span(tables_.spans)),
        table_at(*arena + layout.heap_arena.page_in_use.offset, std::span(tables_.page_in_use)),
        table_at(*l2 + (chunk & ((1 << kChunkL2Bits) - 1)) * kPallocBytes, std::span(tables_.palloc))};
    if (Status status = memory_.read_each(tables); !status) return status;
    const bool all = std::all_of(tables.begin(), tables.end(), [](const auto& table) { return table.there; });
    return all ? Status() : Status(Error(ErrorCode::kAbsent, "a table of an arena could not be read"));
  }

  template <typename T>
  static remote::Piece table_at(uint64_t address, std::span<T> into) {
    return {address, std::as_writable_bytes(into), true, false};
  }

  // Pointers side by side that are read together, as far as they lie in one page: one read for 512 arenas.
  struct Pointers {
    uint64_t first = 0;
    std::vector<uint64_t> values;
  };
  Result<uint64_t> pointer(Pointers& known, uint64_t array, uint64_t index) {
    if (index < known.first || index - known.first >= known.values.size()) {
      const uint64_t rest = (kPageBytes - (array + 8 * index) % kPageBytes) / 8;
      Result<std::vector<uint64_t>> values =
          remote::read_array<uint64_t>(memory_, array + 8 * index, std::max<uint64_t>(rest, 1));
      if (!values) return std::move(values).error();
      known = {index, *std::move(values)};
    }
    return known.values[index - known.first];
  }

  // A P's cache of the block of 64 pages at this address; nullptr: none.
  const PageCache* cache_at(uint64_t block) const {
    const auto at = std::lower_bound(caches_.begin(), caches_.end(), block,
                                     [](const PageCache& cache, uint64_t a) { return cache.base < a; });
    return at != caches_.end() && at->base == block ? &*at : nullptr;
  }

  void classify(uint64_t at, uint64_t end, HeapPages& out) const {
    const uint64_t first = (at - kArenaBase) % kArenaBytes / kGoPageBytes;
    const PageCache* cache = nullptr;  // of the 64 pages at hand
    for (uint64_t i = 0; at < end; ++i, at += kGoPageBytes) {
      if (i % kCachePages == 0) cache = cache_at(at);
      const uint64_t* chunk = &tables_.palloc[i / kChunkPagesGo * (kPallocBytes / 8)];
      const uint64_t bit = i % kChunkPagesGo;
      const bool allocated = (chunk[bit / 64] >> (bit % 64) & 1) != 0;
      const bool scavenged = (chunk[8 + bit / 64] >> (bit % 64) & 1) != 0;
      if (!allocated) {
        append(out, at, scavenged ? PageClass::kReleased : PageClass::kIdle, 0);
      } else if (scavenged) {
        append(out, at, PageClass::kPadding, 0);
      } else if (cache != nullptr && (cache->free >> (i % kCachePages) & 1) != 0) {
        const bool given_back = (cache->scavenged >> (i % kCachePages) & 1) != 0;
        append(out, at, given_back ? PageClass::kReleased : PageClass::kIdle, 0);
      } else if (const uint64_t span = tables_.spans[i]; span == 0) {
        append(out, at, PageClass::kUnknown, 0);
      } else {
        const uint64_t page = first + i;
        const bool objects = (static_cast<uint8_t>(tables_.page_in_use[page / 8]) >> (page % 8) & 1) != 0;
        append(out, at, objects ? PageClass::kHeapSpan : PageClass::kManualSpan, span);
      }
    }
  }

  // Of a span, only the first page has the bit: later pages continue the run of their span.
  static void append(HeapPages& out, uint64_t address, PageClass page_class, uint64_t span) {
    if (!out.runs.empty()) {
      PageRun& last = out.runs.back();
      const bool adjacent = last.address + last.pages * kGoPageBytes == address;
      if (adjacent && last.span == span && (span != 0 || last.page_class == page_class)) {
        ++last.pages;
        return;
      }
    }
    out.runs.push_back({address, 1, page_class, span});
  }

  static bool between(uint64_t got, uint64_t a, uint64_t b, uint64_t tolerance) {
    return got + tolerance >= std::min(a, b) && got <= std::max(a, b) + tolerance;
  }

  static bool verify(const HeapPages& pages) {
    const auto manual = [](const HeapCounters& c) {
      return c.in_stacks + c.in_work_bufs + c.in_ptr_scalar_bits;
    };
    const uint64_t released = pages.total(PageClass::kReleased) + pages.total(PageClass::kPadding);
    const HeapCounters &a = pages.before, &b = pages.after;
    if (pages.quiet && pages.total(PageClass::kHeapSpan) == a.heap_in_use &&
        pages.total(PageClass::kManualSpan) == manual(a) && pages.total(PageClass::kIdle) == a.heap_free &&
        released == a.heap_released)
      return true;
    // Something was half-way: bitmaps and counters change one after the other. Each class on its own: what was free in one
    // arena and then in another is counted twice. Pages that are just being given back look allocated, without a span.
    const uint64_t tolerance = std::min(a.heap_in_use + a.heap_free, b.heap_in_use + b.heap_free) / 100;
    return between(pages.total(PageClass::kHeapSpan), a.heap_in_use, b.heap_in_use, tolerance) &&
           between(pages.total(PageClass::kIdle) + pages.total(PageClass::kUnknown), a.heap_free, b.heap_free,
                   tolerance) &&
           between(released, a.heap_released, b.heap_released, tolerance);
  }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  std::vector<AddressRange> ranges_;
  std::vector<PageCache> caches_;
  uint64_t arenas_ = 0;
  Pointers arena_pointers_, l2_pointers_;
  std::vector<uint64_t> met_;
  ArenaTables tables_;
};

// gcControllerState.memoryLimitHeapGoal (mgcpacer.go): the heap that leaves the rest of the limit to all else.
uint64_t goal_by_limit(const HeapCounters& c, int minor) {
  constexpr uint64_t kLeastHeadroom = 1 << 20;
  constexpr int kProportional = 21;  // the first release whose headroom grows with the goal: 3 %
  const uint64_t limit = static_cast<uint64_t>(c.memory_limit), allocated = c.total_alloc - c.total_free;
  const uint64_t heap = c.heap_free + allocated;
  const uint64_t other = c.mapped_ready > heap ? c.mapped_ready - heap : 0;
  const uint64_t overage = c.mapped_ready > limit ? c.mapped_ready - limit : 0;
  if (other + overage >= limit) return c.heap_marked;
  uint64_t goal = limit - (other + overage);
  const uint64_t headroom = minor < kProportional ? kLeastHeadroom : std::max(goal / 100 * 3, kLeastHeadroom);
  goal = goal < headroom || goal - headroom < headroom ? headroom : goal - headroom;
  return std::max(goal, c.heap_marked);
}

// gcControllerState.heapGoalInternal: the runtime stores its parts only.
uint64_t heap_goal(const HeapCounters& c, uint64_t by_percent, uint64_t sweep_trigger, uint64_t triggered,
                   int minor) {
  constexpr uint64_t kLeastRunway = 64 << 10;
  if (c.gc_percent < 0 && c.memory_limit == std::numeric_limits<int64_t>::max()) return 0;
  if (const uint64_t by_limit = goal_by_limit(c, minor); by_limit < by_percent) return by_limit;
  const uint64_t goal = std::max(by_percent, sweep_trigger);
  return triggered == ~uint64_t{0} ? goal : std::max(goal, triggered + kLeastRunway);
}

}  // namespace

Result<HeapCounters> read_counters(remote::RemoteMemory& memory, const Globals& globals) {
  const Layout& layout = *globals.layout;
  Bytes controller(layout.gc_controller.size), stats(layout.mstats.numforcedgc.offset + 8);
  if (Status status = memory.read(globals.gc_controller, controller); !status)
    return std::move(status).error();
  Result<uint64_t> there = memory.read_present(globals.memstats, stats);
  if (!there) return std::move(there).error();
  const auto& c = layout.gc_controller;
  const auto& s = layout.mstats;
  const auto& d = layout.heap_stats_delta;
  // consistentHeapStats: the sum of three deltas, as the runtime's unsafeRead does; parts may be negative.
  const auto sum = [&](Field which) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < 3; ++i)
      total += field(stats, {s.heap_stats.offset + i * d.size + which.offset, which.bytes});
    return total;
  };
  HeapCounters out{
      .heap_in_use = field(controller, c.heap_in_use),
      .heap_free = field(controller, c.heap_free),
      .heap_released = field(controller, c.heap_released),
      .mapped_ready = field(controller, c.mapped_ready),
      .in_stacks = sum(d.in_stacks),
      .in_work_bufs = sum(d.in_work_bufs),
      .in_ptr_scalar_bits = sum(d.in_ptr_scalar_bits),
      .heap_live = field(controller, c.heap_live),
      .heap_marked = field(controller, c.heap_marked),
      .total_alloc = field(controller, c.total_alloc),
      .total_free = field(controller, c.total_free),
      .mspan_sys = field(stats, s.mspan_sys),
      .mcache_sys = field(stats, s.mcache_sys),
      .buckhash_sys = field(stats, s.buckhash_sys),
      .gc_misc_sys = field(stats, s.gc_misc_sys),
      .other_sys = field(stats, s.other_sys),
      .stacks_sys = field(stats, s.stacks_sys),
      .memory_limit = static_cast<int64_t>(field(controller, c.memory_limit)),
      .gc_percent = static_cast<int32_t>(field(controller, c.gc_percent)),
      .gc_cycles = static_cast<uint32_t>(field(stats, s.numgc)),
  };
  out.heap_goal =
      heap_goal(out, field(controller, c.gc_percent_heap_goal), field(controller, c.sweep_dist_min_trigger),
                field(controller, c.triggered), layout.minor);
  return out;
}

Result<HeapPages> read_pages(remote::RemoteMemory& memory, const Globals& globals, int attempts) {
  Result<HeapPages> best = Pass(memory, globals).read();
  // Twice as often while nothing verified was seen: without that, all of it is unclassified.
  for (int i = 1; i < attempts || (i < 2 * attempts && !(best && best->verified)); ++i) {
    if (best && best->verified && (best->quiet || best->before.gc_cycles == best->after.gc_cycles)) break;
    if (!memory.step(1)) break;
    Result<HeapPages> again = Pass(memory, globals).read();
    if (best) memory.release(best->runs.size() * sizeof(PageRun));  // one of the two is dropped
    if (!best || (again && again->verified)) best = std::move(again);
  }
  return best;
}

}  // namespace memwhy::goruntime
