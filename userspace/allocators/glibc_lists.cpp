// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "allocators/glibc_free.h"

namespace memwhy::allocators {
namespace {

constexpr int kListTries = 4;  // of a list in motion
constexpr size_t kMostKnown = 65536;
constexpr uint64_t kMostListPages = 4096, kFewestListPages = 64;

Region* region_of(Arena& arena, uint64_t address) {
  for (Region& region : arena.regions)
    if (region.chunks.contains(address)) return &region;
  return nullptr;
}

// Neighbours are one run. One that reaches top belongs to it: malloc_trim merges fastbin chunks first.
void account(Arena& arena, std::vector<AddressRange>& free) {
  free.insert(free.end(), arena.fast.begin(), arena.fast.end());
  std::sort(free.begin(), free.end());
  for (size_t i = 0; i < free.size();) {
    AddressRange run = free[i];
    for (++i; i < free.size() && free[i].start <= run.end; ++i) run.end = std::max(run.end, free[i].end);
    Region* const region = region_of(arena, run.start);
    if (region == nullptr) continue;
    region->add_free(run, run.end != arena.top);
    if (run.end == arena.top) arena.merged_top = run.start;
  }
}

// One list, from its bin back to it.
class FreeList {
 public:
  FreeList(HeapMemory& memory, Arena& arena, uint64_t most_pages)
      : memory_(memory), arena_(arena), most_pages_(most_pages) {}

  // "" it came back to its bin.
  std::string_view read(size_t bin, std::vector<AddressRange>& free) {
    const uint64_t head = arena_.bins + 16 * (bin - 1) - 16;
    uint64_t at = 0, before = head, bytes = 0;
    if (!memory_.word(head + 16, at)) return "a bin could not be read";
    while (at != head) {
      struct {
        uint64_t prev_size, size, fd, bk;
      } chunk{};
      last_ = at;
      if (memory_.pages_read() > most_pages_ || !memory_.step()) return "its free lists are long";
      if (!aligned(at) || !memory_.get(at, chunk)) return "a free chunk is swapped, or no chunk";
      const uint64_t size = chunk.size & ~kFlagBits;
      if (size < kMinChunk || size > arena_.system_bytes || size % kChunkAlign != 0 || chunk.bk != before ||
          at + size < at)
        return "a free list is inconsistent";
      bytes += size;
      if (bytes > arena_.system_bytes) return "a free list is a loop";
      free.push_back({at, at + size});
      if (arena_.known.size() < kMostKnown) arena_.known.push_back(at);
      before = at;
      at = chunk.fd;
    }
    return "";
  }
  uint64_t last() const { return last_; }
  bool spent() const { return memory_.pages_read() > most_pages_; }

 private:
  HeapMemory& memory_;
  Arena& arena_;
  uint64_t most_pages_, last_ = 0;
};

// What is in its bins. Touches Arena::known and no region: those of a main arena may not all be found yet.
// false: longer than `most_pages`, or inconsistent each time.
bool read_bins(HeapMemory& memory, Arena& arena, uint64_t most_pages, std::vector<AddressRange>& free) {
  arena.known.clear();
  FreeList list(memory, arena, memory.pages_read() + most_pages);
  bool whole = true;
  for (size_t bin = 1; bin <= kBins && whole; ++bin) {
    for (int attempt = 1;; ++attempt) {
      const size_t mark = free.size();
      const std::string_view bad = list.read(bin, free);
      if (bad.empty()) break;
      free.resize(mark);
      if (attempt == kListTries || list.spent() || !memory.step()) {
        whole = false;
        break;
      }
      memory.forget(arena.bins);
      memory.forget(list.last());
    }
  }
  std::sort(arena.known.begin(), arena.known.end());
  return whole;
}

}  // namespace

void read_fastbins(HeapMemory& memory, const Glibc& libc, Arena& arena) {
  arena.fast.clear();
  if (libc.shape->fastbins == 0) return;
  uint64_t bytes = 0;
  for (size_t i = 0; i < kFastbins; ++i) {
    const uint64_t size = kMinChunk + 16 * i;
    uint64_t at = 0;
    uint64_t passed = 0;  // an earlier one, after 1, 2, 4, 8 … of them; there again: it is a loop
    if (!memory.word(arena.bins - libc.shape->fastbins + 8 * i, at))
      return arena.cut_short("a fastbin could not be read");
    for (uint64_t n = 1; at != 0; ++n) {
      struct {
        uint64_t prev_size, size, fd;
      } chunk{};
      if (!aligned(at) || at == passed || !memory.step() || !memory.keep(sizeof(AddressRange)) ||
          !memory.get(at, chunk) || (chunk.size & ~kFlagBits) != size ||
          (bytes += size) > arena.system_bytes) {
        arena.cut_short("a fastbin was in motion");
        break;
      }
      arena.fast.push_back({at, at + size});
      if (std::has_single_bit(n)) passed = at;
      at = libc.safe_linking ? chunk.fd ^ ((at + kHeader) >> 12) : chunk.fd;
    }
  }
  std::sort(arena.fast.begin(), arena.fast.end());
  arena.fast.erase(std::unique(arena.fast.begin(), arena.fast.end()), arena.fast.end());
}

bool guess_safe_linking(HeapMemory& memory, const Glibc& libc) {
  if (libc.shape->fastbins == 0) return true;
  for (const Arena& arena : libc.arenas) {
    for (size_t i = 0; i < kFastbins; ++i) {
      uint64_t at = 0, fd = 0;
      if (!memory.word(arena.bins - libc.shape->fastbins + 8 * i, at) || at == 0 ||
          !memory.word(at + kHeader, fd))
        continue;
      const uint64_t key = (at + kHeader) >> 12;
      if (fd == 0) return false;   // the end of a plain list
      if (fd == key) return true;  // of a protected one
      const bool plain = aligned(fd) && memory.writable(fd),
                 safe = aligned(fd ^ key) && memory.writable(fd ^ key);
      if (plain != safe) return safe;
    }
  }
  return false;
}

bool read_free_lists(HeapMemory& memory, Arena& arena, uint64_t most_pages) {
  std::vector<AddressRange> free;
  if (!read_bins(memory, arena, most_pages, free)) return false;
  account(arena, free);
  return true;
}

void read_free(HeapMemory& memory, Glibc& libc, Arena& arena) {
  if (!arena.believed || arena.system_bytes == 0) return;
  read_fastbins(memory, libc, arena);
  const uint64_t pages = arena.system_bytes >> kPageShift;
  const uint64_t most = std::clamp(pages / 4, kFewestListPages, kMostListPages);
  if (arena.main && (arena.regions.empty() || !arena.regions.front().has_top)) {
    std::vector<AddressRange> free;
    static_cast<void>(read_bins(memory, arena, most, free));  // for the chunks that they know
    find_loose_regions(memory, arena);
  }
  if (!memory.keep(arena.kept_bytes())) {
    arena.believed = false;
    arena.regions.clear();
    return arena.cut_short("an arena is larger than one reading may keep");
  }
  const auto prepare = [&] {
    arena.merged_top = 0;
    for (Region& region : arena.regions) region.prepare();
  };
  prepare();
  if (read_free_lists(memory, arena, most)) return;
  prepare();
  arena.walked = true;
  walk_chunks(memory, arena, libc.sizes);
}

}  // namespace memwhy::allocators
