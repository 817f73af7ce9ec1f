// SPDX-License-Identifier: Apache-2.0
#include "allocators/glibc_find.h"

#include <algorithm>
#include <set>
#include <utility>

namespace memwhy::allocators {
namespace {

constexpr uint64_t kMostData = uint64_t{64} << 20;  // of one mapping
constexpr size_t kMostPlaces = 100'000, kMostCandidates = 64, kMostArenas = 65536;
constexpr size_t kFewestEmptyBins = 8;
constexpr int kArenaTries = 5, kCandidateTries = 2;  // of an arena in motion, and of what may be none

std::string_view base_name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Words of a mapping's pages; absent ones are zero.
class Data {
 public:
  Data(HeapMemory& memory, const AddressRange& range) : start_(range.start), words_(range.bytes() / 8) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(words_));
    for (uint64_t done = 0; done < bytes.size() && memory.step();) {
      const size_t n = memory.read_run(start_ + done,
                                       bytes.subspan(done, std::min<size_t>(64 << 10, bytes.size() - done)));
      done += std::max<size_t>(n, kPageBytes);
    }
  }
  // Whether two words from the i-th on are what an empty bin is there.
  bool empty_bin(size_t i) const {
    const uint64_t chunk = start_ + 8 * i - 16;
    return i + 1 < words_.size() && words_[i] == chunk && words_[i + 1] == chunk;
  }
  // Whether 127 pairs from the i-th word on could be bins, and what follows them the rest of a malloc_state.
  bool could_be_bins(size_t i) const {
    if (i + kStateEnd / 8 > words_.size()) return false;
    for (size_t bin = 0; bin < kBins; ++bin) {
      const uint64_t chunk = start_ + 8 * (i + 2 * bin) - 16, fd = words_[i + 2 * bin],
                     bk = words_[i + 2 * bin + 1];
      if ((fd == chunk) != (bk == chunk)) return false;
      if (fd != chunk && (!aligned(fd) || !aligned(bk) || fd == 0 || bk == 0)) return false;
    }
    const auto after = [&](uint64_t offset) { return words_[i + offset / 8]; };
    return after(kStateNext) != 0 && after(kStateNext) % 8 == 0 &&
           after(kStateSystem) <= after(kStateMaxSystem);
  }
  size_t words() const { return words_.size(); }

 private:
  uint64_t start_;
  std::vector<uint64_t> words_;
};

// Places of `bins`, in words. Of overlapping ones those with most empty bins: Python's table of pools has such pairs too.
std::vector<size_t> bin_tables(const Data& data) {
  std::vector<uint32_t> sum(data.words() + 2, 0);  // of empty bins up to here, in steps of 16 bytes
  for (size_t i = 0; i < data.words(); ++i) sum[i] = (i >= 2 ? sum[i - 2] : 0) + (data.empty_bin(i) ? 1 : 0);
  std::vector<std::pair<uint32_t, size_t>> places;
  size_t looked = 0;
  for (size_t i = 2; i + kStateEnd / 8 <= data.words(); ++i) {
    const uint32_t pairs = sum[i + 2 * (kBins - 1)] - sum[i - 2];
    if (pairs < kFewestEmptyBins || ++looked > kMostPlaces) continue;
    if (data.could_be_bins(i)) places.emplace_back(pairs, i);
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<size_t> out;
  for (const auto& [pairs, at] : places)
    if (out.size() < kMostCandidates) out.push_back(at);
  return out;
}

// Verifies one arena, and finds the memory that it has.
class ArenaReader {
 public:
  ArenaReader(HeapMemory& memory, const StateShape& shape, uint64_t address, bool main) : memory_(memory) {
    arena_.address = address;
    arena_.bins = address + shape.start;
    arena_.main = main;
  }

  bool read() {
    uint64_t bins[2 * kBins], head = 0;
    struct {
      uint64_t next, next_free, attached, system, max_system;
    } tail{};
    if (arena_.address % 8 != 0 || !memory_.word(arena_.address, head) ||
        !memory_.word(arena_.bins - kTopBeforeBins, arena_.top) || !memory_.get(arena_.bins, bins) ||
        !memory_.get(arena_.bins + kStateNext, tail))
      return false;
    arena_.contiguous = (static_cast<uint32_t>(head >> 32) & kContiguousNot) == 0;
    arena_.system_bytes = tail.system;
    arena_.max_system_bytes = tail.max_system;
    next_ = tail.next;
    const auto mutex = static_cast<uint32_t>(head);
    if (mutex > 2 || tail.attached > 1'000'000 || tail.system > tail.max_system || !aligned(tail.system))
      return false;
    if (!bins_lead_somewhere(bins)) return false;
    if (arena_.top == arena_.bins - kTopBeforeBins) return arena_.system_bytes == 0;  // never used
    if (!top_is_a_chunk()) return false;
    return arena_.main || find_heaps();
  }
  uint64_t next() const { return next_; }
  Arena take() { return std::move(arena_); }

 private:
  bool bins_lead_somewhere(const uint64_t (&bins)[2 * kBins]) const {
    for (size_t bin = 0; bin < kBins; ++bin) {
      const uint64_t chunk = arena_.bins + 16 * bin - 16, fd = bins[2 * bin], bk = bins[2 * bin + 1];
      if ((fd == chunk) != (bk == chunk)) return false;
      if (fd == chunk) continue;
      if (!aligned(fd) || !aligned(bk) || !memory_.writable(fd) || !memory_.writable(bk)) return false;
    }
    return true;
  }
  bool top_is_a_chunk() {
    uint64_t size = 0;
    if (!aligned(arena_.top) || !memory_.writable(arena_.top) || !memory_.word(arena_.top + 8, size))
      return false;
    arena_.top_bytes = size & ~kFlagBits;
    return (size & kFlagBits) == kPrevInUse && arena_.top_bytes <= arena_.system_bytes &&
           arena_.top_bytes >= kHeader && arena_.top + arena_.top_bytes > arena_.top;
  }
  // From the heap that holds top, by `prev`, to the one that holds the arena itself; their sizes sum to what the arena has.
  bool find_heaps() {
    for (const uint64_t most : kHeapMaxima)
      if (find_heaps(most)) return true;
    return false;
  }
  bool find_heaps(uint64_t most) {
    arena_.regions.clear();
    uint64_t sum = 0;
    uint64_t heap = round_down(arena_.top, most);
    for (size_t n = 0; n < kMostRegions; ++n) {
      struct {
        uint64_t arena, prev, size, accessible;
      } info{};
      if (heap == 0 || !memory_.get(heap, info) || info.arena != arena_.address || info.size > most ||
          info.size > info.accessible || info.size < kHeapInfo235 ||
          memory_.span(heap).end < heap + info.size)
        return false;
      const bool oldest = arena_.address - heap <= kHeapInfo235;
      Region region;
      region.range = {heap, heap + info.size};
      region.has_top = n == 0;
      region.chunks.start =
          oldest ? round_up(arena_.bins + kStateEnd + kHeader, kChunkAlign) - kHeader
                 : heap + (arena_.address % 0x100 == kHeapInfo226 ? kHeapInfo226 : kHeapInfo235);
      region.chunks.end = n == 0 ? arena_.top : region.range.end;
      if (region.chunks.empty() && region.chunks.start != region.chunks.end) return false;
      if (n == 0 && arena_.top + arena_.top_bytes != region.range.end) return false;
      sum += info.size;
      arena_.regions.push_back(std::move(region));
      if (oldest) return sum == arena_.system_bytes;
      heap = info.prev;
      if (heap % most != 0 || sum > arena_.system_bytes) return false;
    }
    return false;
  }

  HeapMemory& memory_;
  Arena arena_;
  uint64_t next_ = 0;
};

// The [heap] from sbrk_base to top; where top is elsewhere (brk was refused later), all of it. What lies in mappings is found
// from the chunks (glibc_free.h).
void find_main_region(HeapMemory& memory, const Glibc& libc, Arena& arena) {
  arena.regions.clear();
  if (arena.system_bytes == 0 || !libc.par || libc.par->sbrk_base == 0) return;
  const events::Vma* const vma = memory.mapping(libc.par->sbrk_base);
  if (vma == nullptr || vma->name != "[heap]") return;
  const AddressRange span = memory.span(libc.par->sbrk_base);
  Region region;
  region.has_top = span.contains(arena.top);
  const uint64_t end = region.has_top ? arena.top + arena.top_bytes : span.end;
  if (end > span.end || end <= libc.par->sbrk_base) return;
  region.range = {libc.par->sbrk_base, end};
  region.chunks = {libc.par->sbrk_base, region.has_top ? arena.top : end};
  arena.regions.push_back(std::move(region));
}

}  // namespace

bool is_libc(std::string_view path) {
  const std::string_view name = base_name_of(path);
  return name.starts_with("libc.so") || name.starts_with("libc-2.");
}

namespace {

bool read_arenas(HeapMemory& memory, Glibc& libc, int main_tries) {
  std::vector<Arena> arenas;
  std::set<uint64_t> seen;  // no hash table: the target chooses the addresses
  size_t failed = 0;
  uint64_t address = libc.main_arena;
  do {
    if (!seen.insert(address).second || seen.size() > kMostArenas || !memory.step()) return false;
    const bool main = address == libc.main_arena;
    std::optional<ArenaReader> reader;
    bool good = false;
    for (int i = 0; i < (main ? main_tries : kArenaTries) && !good; ++i) {
      if (i > 0 && (!memory.step() || !memory.refresh())) return false;
      reader.emplace(memory, *libc.shape, address, main);
      good = reader->read();
    }
    uint64_t next = reader->next();
    if (!good) {
      if (main || ++failed > 1 + seen.size() / 2) return false;
      if (!memory.word(address + libc.shape->start + kStateNext, next) || next % 8 != 0) return false;
    }
    Arena& arena = arenas.emplace_back(reader->take());
    if (!good) {
      arena.believed = false;
      arena.regions.clear();
      arena.cut_short("an arena was in motion");
    }
    address = next;
  } while (address != libc.main_arena);
  libc.arenas = std::move(arenas);
  find_main_region(memory, libc, libc.arenas.front());
  return true;
}

}  // namespace

bool read_arenas(HeapMemory& memory, Glibc& libc) { return read_arenas(memory, libc, kArenaTries); }

Search find_glibc(HeapMemory& memory, bool everywhere) {
  Search out;
  // Verifying reads the mappings anew.
  std::vector<events::Vma> of_files;
  for (const events::Vma& vma : memory.vmas())
    if (vma.read && vma.write && !vma.shared && vma.inode != 0 && vma.range.bytes() <= kMostData &&
        is_libc(vma.name) != everywhere)
      of_files.push_back(vma);
  for (const events::Vma& vma : of_files) {
    if (!memory.step()) break;  // there may be any number of files with this name
    const Data data(memory, vma.range);
    uint64_t done = 0;
    for (const size_t at : bin_tables(data)) {
      const uint64_t bins = vma.range.start + 8 * at;
      bool good = false;
      for (size_t i = 0; i < kStateShapes.size() && !good; ++i) {
        const StateShape& shape = kStateShapes[i];
        if (bins < done || bins - vma.range.start < shape.start) continue;
        Glibc libc;
        libc.module = vma.name;
        libc.main_arena = bins - shape.start;
        libc.shape = &shape;
        good = read_arenas(memory, libc, kCandidateTries);
        if (!good) continue;
        read_par(memory, libc);
        find_main_region(memory, libc, libc.arenas.front());
        out.found.push_back(std::move(libc));
        done = bins + kStateEnd;
      }
      out.rejected |= !good;
    }
  }
  if (!out.found.empty()) out.rejected = false;
  return out;
}

}  // namespace memwhy::allocators
