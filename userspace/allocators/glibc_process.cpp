// SPDX-License-Identifier: Apache-2.0
#include "allocators/glibc_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "allocators/glibc_beside.h"
#include "allocators/glibc_find.h"
#include "allocators/glibc_free.h"
#include "allocators/glibc_join.h"
#include "allocators/reading_cost.h"

namespace memwhy::allocators {
namespace {

// What one reading may take. The time is for the pauses: 7 s for a GiB that is walked.
constexpr remote::Limits kHeapLimits = {
    .read_bytes = 65536 * kMiB, .kept_bytes = 1024 * kMiB, .cpu_ns = 2000 * kMs, .time_ns = 15000 * kMs};
// All of it is read for sizes, with pauses: 3 s for the largest. So often that this takes 1/50 of the time.
constexpr uint64_t kMostWalkedForSizes = 512 * kMiB;
constexpr uint64_t kSizesShare = 50, kSizesFreeNs = 3000 * kMs;
// Arenas alone, without what is free in them: also when the recording has no time left.
constexpr remote::Limits kArenasLimits = {
    .read_bytes = 64 * kMiB, .kept_bytes = 1024 * kMiB, .cpu_ns = 100 * kMs, .time_ns = 300 * kMs};
constexpr int kMostSearches = 20;
constexpr int kMostCutInARow = 3;  // then the last complete reading is too old
constexpr size_t kMostSizes = 64;

// What was free in an arena at its last reading, on the pages that it still has. Its tables are moved: there may be a GiB of
// them.
void carry_over(HeapMemory& memory, Arena& before, Arena& now) {
  now.fast = std::move(before.fast);
  now.cut = std::move(before.cut);
  now.unknown_bytes = before.unknown_bytes;
  if (before.top == now.top) now.merged_top = before.merged_top;
  if (now.regions.size() < before.regions.size()) now.regions = std::exchange(before.regions, {});
  if (!memory.keep(now.kept_bytes())) return now.regions.clear();
  for (Region& region : now.regions) {
    for (Region& old : before.regions) {
      if (old.range.start != region.range.start || old.free.empty()) continue;
      region.free = std::move(old.free);
      region.trimmed = std::move(old.trimmed);
    }
    region.fit();
  }
}

// To walk over it once more: what is free in it is not in the copy.
Arena without_tables(Arena& arena) {
  std::vector<Region> regions = std::exchange(arena.regions, {});
  Arena out = arena;
  for (const Region& region : regions)
    out.regions.push_back({region.range, region.chunks, region.has_top, {}, {}});
  arena.regions = std::move(regions);
  return out;
}

}  // namespace

GlibcProcess::GlibcProcess(std::unique_ptr<remote::RemoteMemory> memory, HeapMemory::Vmas vmas,
                           bool static_program, ReadPace pace)
    : memory_(std::move(memory)),
      vmas_(std::move(vmas)),
      static_program_(static_program),
      pace_(std::move(pace)),
      first_ns_(now_ns()) {}

void GlibcProcess::tell_once(std::string sentence) {
  if (!std::exchange(told_, true)) notices_.push_back(std::move(sentence));
}

bool GlibcProcess::find(HeapMemory& memory) {
  if (!libcs_.empty()) return true;
  if (searches_ == kMostSearches) return false;
  ++searches_;
  Search search = find_glibc(memory, static_program_);
  rejected_ = search.rejected;
  libcs_ = std::move(search.found);
  for (Glibc& libc : libcs_)
    libc.safe_linking = (libc.par && libc.par->layout->safe_linking) || guess_safe_linking(memory, libc);
  return !libcs_.empty();
}

std::optional<Glibc> GlibcProcess::refreshed(HeapMemory& memory, Glibc& before, bool what_is_free) {
  Glibc now;
  now.module = before.module;
  now.main_arena = before.main_arena;
  now.shape = before.shape;
  now.safe_linking = before.safe_linking;
  now.par = before.par;
  if (!what_is_free) now.sizes = before.sizes;
  if (!read_arenas(memory, now)) return std::nullopt;
  read_par(memory, now);
  std::map<uint64_t, Arena*> known;
  for (Arena& arena : before.arenas) known[arena.address] = &arena;
  for (Arena& arena : now.arenas) {
    const auto found = known.find(arena.address);
    Arena none;
    Arena& last = found == known.end() ? none : *found->second;
    if (!arena.believed && last.believed && !last.regions.empty())
      arena = last;  // in motion: what it was last time
    else if (what_is_free)
      read_free(memory, now, arena);
    else
      carry_over(memory, last, arena);
  }
  find_mapped_chunks(memory, now);
  return now;
}

// What is free is read beside what it was, which stays until it is known whether this reading is worth more: a truncated one
// knows less than the last complete one, as long as that is recent.
bool GlibcProcess::read_heap(HeapMemory& heap, const remote::Budget& budget) {
  const bool first = free_read_ns_ == 0;
  const bool what_is_free = first || within_share(cpu_ns_, first_ns_);
  std::vector<Glibc> before = std::exchange(libcs_, {});
  for (Glibc& libc : before) {
    std::optional<Glibc> now = refreshed(heap, libc, what_is_free);
    if (!now) break;
    libcs_.push_back(*std::move(now));
  }
  const auto fresh = static_cast<std::ptrdiff_t>(libcs_.size());
  const bool read = libcs_.size() == before.size();
  if (!read && first) return false;
  std::move(before.begin() + fresh, before.end(), std::back_inserter(libcs_));
  if (what_is_free) {
    std::vector<uint64_t> threads = find_threads(heap);
    if (budget.spent() == remote::Budget::Spent::kNothing || !whole_) threads_ = std::move(threads);
  }
  read_caches(heap);
  const bool cut = budget.spent() != remote::Budget::Spent::kNothing;
  if (!cut && what_is_free) cut_in_a_row_ = 0;
  if (cut && what_is_free && whole_ && ++cut_in_a_row_ < kMostCutInARow) {
    std::move(libcs_.begin() + fresh, libcs_.end(), before.begin() + fresh);
    libcs_ = std::move(before);
    refresh_arenas(heap.vmas());
    tell_once(fmt::format(
        "Its C heap takes more {} than one reading may: what is free in it is as of the last whole "
        "reading.",
        budget.spent_name()));
    return true;
  }
  if (read && what_is_free) {
    free_read_ns_ = now_ns();
    whole_ = !cut;
  }
  if (cut)
    tell_once(
        fmt::format("Its C heap takes more {} than one reading may: free memory in it that was not reached "
                    "counts as used.",
                    budget.spent_name()));
  return true;
}

void GlibcProcess::read_caches(HeapMemory& heap) {
  for (Glibc& libc : libcs_) {
    libc.cached.clear();
    libc.tcaches = 0;
    read_tcaches(heap, threads_, libc);
  }
}

void GlibcProcess::refresh_arenas(const std::vector<events::Vma>& vmas) {
  remote::Budget budget(kArenasLimits);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, ReadPace{});
  memory.refresh(vmas);
  for (Glibc& libc : libcs_)
    if (std::optional<Glibc> now = refreshed(memory, libc, false)) libc = *std::move(now);  // else they move
  read_caches(memory);
}

GlibcReading GlibcProcess::read(const events::PageScan& scan) {
  const CpuTime meter(cpu_ns_);
  GlibcReading out;
  out.pages.space = scan.space;
  out.pages.scan = scan.scan;
  out.pages.runtime = kGlibcRuntime;
  remote::Budget budget(libcs_.empty() ? kSearchLimits : kHeapLimits, stop_);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, pace_);
  if (!memory.refresh()) {
    out.pages.problem = "the process is gone";
    return out;
  }
  if (!find(memory)) {
    const bool cut = budget.spent() != remote::Budget::Spent::kNothing;
    out.pages.trust = rejected_ || cut ? events::Trust::kUnverified : events::Trust::kVerified;
    if (cut)
      out.pages.problem = fmt::format("the search for the state of glibc's malloc takes more {} than one may",
                                      budget.spent_name());
    else if (rejected_)
      out.pages.problem = "what looks like the state of glibc's malloc does not pass its tests";
    return out;
  }
  remote::Budget for_heap(kHeapLimits, stop_);
  remote::MeteredMemory heap_memory(*memory_, for_heap);
  HeapMemory heap(heap_memory, vmas_, pace_);
  if (!heap.refresh()) {
    out.pages.problem = "the process is gone";
    return out;
  }
  if (!read_heap(heap, for_heap)) {
    libcs_.clear();
    out.pages.problem = "the arenas of glibc's malloc moved while they were read";
    return out;
  }
  JoinedHeap joined = join_residency(libcs_, heap.vmas(), scan.runs);
  out.pages.trust = events::Trust::kVerified;
  out.pages.uses.assign(kGlibcUses.begin(), kGlibcUses.end());
  out.pages.runs = std::move(joined.runs);
  joined.heap.space = scan.space;
  joined.heap.scan = scan.scan;
  last_ = out.heap = describe(std::move(joined.heap));
  return out;
}

events::AllocatorHeap GlibcProcess::describe(events::AllocatorHeap heap) const {
  heap.allocator = kGlibcRuntime;
  heap.age_ns = now_ns() - free_read_ns_;
  for (const Glibc& libc : libcs_) {
    if (!libc.par) continue;
    heap.arena_max = libc.par->arena_max;
    heap.mmap_threshold = libc.par->mmap_threshold;
    heap.trim_threshold = libc.par->trim_threshold;
    heap.thresholds_fixed = libc.par->thresholds_fixed;
    break;  // the program's own; others are rare
  }
  return heap;
}

std::optional<events::AllocatorHeap> GlibcProcess::sizes() {
  if (!last_ || last_->system_bytes > kMostWalkedForSizes) return std::nullopt;
  const uint64_t begun = now_ns();
  if (sizes_ns_ > kSizesFreeNs && begun - first_ns_ < kSizesShare * (sizes_ns_ - kSizesFreeNs))
    return std::nullopt;
  const CpuTime meter(cpu_ns_);
  remote::Budget budget(kHeapLimits, stop_);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, pace_);
  if (!memory.refresh()) return std::nullopt;
  SizeClasses sizes;
  for (Glibc& libc : libcs_) {
    for (Arena& arena : libc.arenas) {
      Arena walked = without_tables(arena);
      if (!memory.keep(walked.kept_bytes())) return std::nullopt;
      for (Region& region : walked.regions) region.prepare();
      walk_chunks(memory, walked, sizes);
    }
    for (const AddressRange& chunk : libc.mapped) sizes[std::bit_floor(chunk.bytes())] += chunk.bytes();
  }
  sizes_ns_ += now_ns() - begun;
  if (budget.spent() != remote::Budget::Spent::kNothing) return std::nullopt;
  events::AllocatorHeap out = *last_;
  for (const auto& [chunk, bytes] : sizes) out.sizes.push_back({chunk, bytes});
  std::stable_sort(out.sizes.begin(), out.sizes.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  if (out.sizes.size() > kMostSizes) out.sizes.resize(kMostSizes);
  out.age_ns = now_ns() - free_read_ns_;
  return out;
}

}  // namespace memwhy::allocators
