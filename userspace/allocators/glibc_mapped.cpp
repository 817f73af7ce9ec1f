// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "allocators/glibc_beside.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kMostSearched = 16384;  // pages, when chunks hide in the middle of mappings
constexpr size_t kMostAhead = 16;          // pages read at once there: a call for each would take 1 s of CPU

class MappedChunks {
 public:
  MappedChunks(HeapMemory& memory, Glibc& libc) : memory_(memory), libc_(libc) {
    for (const Arena& arena : libc.arenas)
      for (const Region& region : arena.regions) taken_.push_back(region.range);
    std::sort(taken_.begin(), taken_.end());
  }

  void find(bool every_page) {
    const uint64_t most = memory_.pages_read() + kMostSearched;
    for (const events::Vma& vma : memory_.vmas()) {
      if (!HeapMemory::private_anonymous(vma) || vma.name == "[heap]" || vma.name == "[stack]") continue;
      // madvise and mlock split a mapping, and so its chunks.
      const AddressRange whole = memory_.span(vma.range.start);
      // The header of an aligned block is right before it: at the end of what madvise left of the mapping.
      if (const uint64_t last = vma.range.end - kPageBytes;
          !every_page && whole.end > vma.range.end && past(taken_, last) == last)
        chunk_at(whole, last, false);
      for (uint64_t at = vma.range.start; at < vma.range.end && !complete();) {
        if (!memory_.step() || memory_.pages_read() > most) return;
        if (const uint64_t end = past(taken_, at); end != at) {
          at = end;
          continue;
        }
        const uint64_t end = chunk_at(whole, at, every_page);
        if (end == 0 && !every_page) break;
        at = end != 0 ? end : at + kPageBytes;
        if (end != 0) ahead_ = 1;  // a chunk is often followed by the next one
      }
    }
  }
  bool complete() const {
    return libc_.mapped.size() >= libc_.par->mapped_chunks && sum_ >= libc_.par->mapped_bytes;
  }

 private:
  // Past what is known already to lie there.
  static uint64_t past(const std::vector<AddressRange>& taken, uint64_t at) {
    const auto after = std::upper_bound(taken.begin(), taken.end(), at,
                                        [](uint64_t a, const AddressRange& range) { return a < range.end; });
    return after != taken.end() && after->start <= at ? round_up(after->end, kPageBytes) : at;
  }
  // The end of a mapped chunk whose header is on this page: at its start, or before an address that memalign returned.
  uint64_t chunk_at(const AddressRange& mapping, uint64_t page, bool every_page) {
    if (every_page && !window_.contains(page)) read_ahead({page, mapping.end});
    const uint64_t tail =
        libc_.par->layout->shape243 ? kHeader : 0;  // 2.43: the size leaves out the last 16 bytes
    for (uint64_t offset = 0; offset + kHeader <= kPageBytes; offset = offset * 2 + kHeader) {
      ChunkHead head;
      if (!(every_page ? head_ahead(page, offset, head) : memory_.get(page + offset, head))) return 0;
      if ((head.size & kFlagBits) != kMappedChunk || !aligned(head.prev_size)) continue;
      const uint64_t size = head.bytes() + tail, whole = head.prev_size + size,
                     before = page + offset - mapping.start;
      const uint64_t start = page + offset - head.prev_size;
      if (size < kPageBytes / 2 || head.prev_size > before || start % kPageBytes != 0 ||
          whole % kPageBytes != 0 || whole < size || whole > mapping.end - start ||
          whole > libc_.par->mapped_bytes)
        continue;
      const AddressRange chunk{start, start + whole};
      libc_.mapped.insert(std::upper_bound(libc_.mapped.begin(), libc_.mapped.end(), chunk), chunk);
      taken_.insert(std::upper_bound(taken_.begin(), taken_.end(), chunk), chunk);
      sum_ += whole;
      return chunk.end;
    }
    return 0;
  }

  void read_ahead(const AddressRange& pages) {
    const uint64_t bytes = std::min<uint64_t>(pages.bytes(), ahead_ * kPageBytes);
    ahead_ = std::min(2 * ahead_, kMostAhead);
    window_ = {pages.start, pages.start + bytes};
    pieces_.clear();
    for (uint64_t at = 0; at < bytes; at += kPageBytes)
      pieces_.push_back({pages.start + at, std::span(bytes_).subspan(at, kPageBytes), false, false});
    memory_.read_each(pieces_);
  }
  bool head_ahead(uint64_t page, uint64_t offset, ChunkHead& head) const {
    const remote::Piece& piece = pieces_[(page - window_.start) / kPageBytes];
    if (piece.there) std::memcpy(&head, piece.into.data() + offset, sizeof head);
    return piece.there;
  }

  HeapMemory& memory_;
  Glibc& libc_;
  AddressRange window_{};  // pages that were read together
  size_t ahead_ = 1;       // how many the next time
  std::vector<remote::Piece> pieces_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kMostAhead * kPageBytes);
  std::vector<AddressRange> taken_;  // of arenas, and of chunks that were found
  uint64_t sum_ = 0;
};

}  // namespace

void find_mapped_chunks(HeapMemory& memory, Glibc& libc) {
  libc.mapped.clear();
  if (!libc.par || libc.par->mapped_chunks == 0) return;
  MappedChunks chunks(memory, libc);
  chunks.find(false);
  if (!chunks.complete()) chunks.find(true);
}

}  // namespace memwhy::allocators
