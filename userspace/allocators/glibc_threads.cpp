// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "allocators/glibc_beside.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kMostThreads = 16384;
constexpr uint64_t kMostPagesOfThreads = 65536;
constexpr uint64_t kEnd = 32 << 10, kSmallMapping = 64 << 10;
constexpr uint64_t kTcbList = 0x2c0;     // list of threads, through all control blocks
constexpr uint64_t kBelowTcb = 0x1000;   // static thread-local variables of libc
constexpr uint32_t kMostTid = 1u << 22;  // PID_MAX_LIMIT

class ThreadSearch {
 public:
  explicit ThreadSearch(HeapMemory& memory) : memory_(memory) {}

  std::vector<uint64_t> run() {
    const std::vector<events::Vma>& vmas = memory_.vmas();
    const uint64_t most_pages = memory_.pages_read() + kMostPagesOfThreads;
    for (size_t i = 0; i < vmas.size() && memory_.pages_read() < most_pages && memory_.step(); ++i) {
      const events::Vma& vma = vmas[i];
      if (!HeapMemory::private_anonymous(vma) || vma.name == "[stack]") continue;
      const bool guarded = i > 0 && vmas[i - 1].range.end == vma.range.start && !vmas[i - 1].write;
      const bool brk = vma.name == "[heap]";
      if (vma.range.bytes() <= kSmallMapping)
        look(vma.range);
      else if (brk)
        look({vma.range.start, vma.range.start + kPageBytes});  // of a static program
      else if (guarded)
        look({vma.range.end - kEnd, vma.range.end});
    }
    for (size_t i = 0; i < found_.size() && memory_.step(); ++i) follow(found_[i]);
    return std::move(found_);
  }

 private:
  // From its end down to the first page with one, be it of a thread that has ended: thousands may have (ended_stacks.h).
  void look(const AddressRange& range) {
    uint64_t words[kPageBytes / 8];
    bool there = false;
    for (uint64_t page = range.end; page > range.start && !there;) {
      page -= kPageBytes;
      if (!memory_.get(page, words)) continue;
      for (size_t i = 0; i + kTcbSelf / 8 < std::size(words); ++i)
        if (words[i] == page + 8 * i && words[i + kTcbSelf / 8] == page + 8 * i && add(page + 8 * i))
          there = true;
    }
  }
  // Whether it is a control block. Only those of threads that live are kept.
  bool add(uint64_t tcb) {
    uint64_t self[3];
    uint32_t tid = 0;
    if (found_.size() >= kMostThreads || tcb % 16 != 0 || !memory_.get(tcb, self) || self[0] != tcb ||
        self[2] != tcb || !memory_.get(tcb + kTcbTid, tid) || tid > kMostTid)
      return false;
    if (tid != 0 && seen_.insert(tcb).second) found_.push_back(tcb);
    return true;
  }
  void follow(uint64_t tcb) {
    uint64_t link[2];
    if (!memory_.get(tcb + kTcbList, link)) return;
    for (const uint64_t other : link)
      if (other > kTcbList && other % 8 == 0) add(other - kTcbList);
  }

  HeapMemory& memory_;
  std::vector<uint64_t> found_;
  std::set<uint64_t> seen_;
};

class TcacheReader {
 public:
  TcacheReader(HeapMemory& memory, Glibc& libc) : memory_(memory), libc_(libc) {
    for (const Arena& arena : libc.arenas)
      for (const Region& region : arena.regions) arenas_.push_back(region.chunks);
    std::sort(arenas_.begin(), arenas_.end());
  }

  // Thread-local variables are at the same distance from each control block.
  void read(uint64_t tcb) {
    uint64_t at = 0;
    if (known_ != 0) {
      if (memory_.word(tcb - known_, at)) static_cast<void>(take(at));
      return;
    }
    for (uint64_t below = 8; below <= kBelowTcb; below += 8) {  // the mapping may begin in between
      if (!memory_.word(tcb - below, at) || !take(at)) continue;
      known_ = below;
      return;
    }
  }

 private:
  bool take(uint64_t at) {
    if (at < kPageBytes || !aligned(at) || !in_arena(at)) return false;
    ChunkHead head;
    if (!memory_.get(at - kHeader, head) || (head.size & kMappedChunk) != 0) return false;
    for (const TcacheLayout& layout : kTcacheLayouts)
      if (head.bytes() == layout.chunk && read_lists(at, layout)) return true;
    return false;
  }
  bool in_arena(uint64_t at) const {
    const auto after = std::upper_bound(arenas_.begin(), arenas_.end(), at,
                                        [](uint64_t a, const AddressRange& range) { return a < range.end; });
    return after != arenas_.end() && after->start <= at;
  }
  uint64_t count_of(std::span<const std::byte> raw, const TcacheLayout& layout, size_t bin) const {
    uint64_t count = 0;
    std::memcpy(&count, raw.data() + layout.count_bytes * bin, layout.count_bytes);
    return count;
  }
  bool read_lists(uint64_t at, const TcacheLayout& layout) {
    std::array<std::byte, 0x300> bytes;
    const std::span<std::byte> raw = std::span(bytes).first(layout.chunk - 8);
    if (!memory_.read(at, raw)) return false;
    const uint64_t most = libc_.par ? libc_.par->tcache_count : 65535;
    std::vector<TcacheList> lists;
    for (size_t bin = 0; bin < layout.bins; ++bin) {
      uint64_t count = count_of(raw, layout, bin), first = 0;
      const size_t entry = layout.count_bytes * layout.bins + 8 * bin;
      if (entry + 8 > raw.size()) break;
      std::memcpy(&first, raw.data() + entry, 8);
      // Bins that are off have no slots at all.
      if (layout.slots)
        count = first != 0 && count <= most ? most - count : first != 0 ? most + 1 : count > most ? 1 : 0;
      if (count > std::max<uint64_t>(most, 127) || (count == 0) != (first == 0)) return false;
      if (count == 0) continue;
      ChunkHead head;
      if (!aligned(first) || !memory_.writable(first)) return false;
      if (!memory_.get(first - kHeader, head)) continue;  // swapped
      const uint64_t size = head.bytes();
      if (bin < kTcacheSmallBins ? size != kMinChunk + 16 * bin
                                 : size > libc_.par.value_or(Par{}).tcache_max_bytes + kMinChunk)
        return false;
      lists.push_back({first, count * size});
    }
    ++libc_.tcaches;
    libc_.cached.insert(libc_.cached.end(), lists.begin(), lists.end());
    return true;
  }

  HeapMemory& memory_;
  Glibc& libc_;
  std::vector<AddressRange> arenas_;
  uint64_t known_ = 0;  // distance of the pointer below the control block
};

}  // namespace

std::vector<uint64_t> find_threads(HeapMemory& memory) { return ThreadSearch(memory).run(); }

void read_tcaches(HeapMemory& memory, const std::vector<uint64_t>& threads, Glibc& libc) {
  TcacheReader reader(memory, libc);
  for (const uint64_t tcb : threads) {
    if (!memory.step()) return;
    if (tcb > kBelowTcb) reader.read(tcb);
  }
}

}  // namespace memwhy::allocators
