// SPDX-License-Identifier: Apache-2.0
// The walk: from chunk to chunk over a region, by the sizes in their headers. A header that makes no sense was read while its
// chunk was split or merged: the walk retries from the last certain chunk, then goes on from the next certain place.
//
//   certain                       at                     free run            top, or fenceposts
//   | used | used | free | used | used ? |               |free|fast|
//   └── kept until the walk is 64 KiB further ──┘        one run, as malloc_trim merges them
#include <algorithm>
#include <array>
#include <bit>

#include "allocators/glibc_free.h"

namespace memwhy::allocators {
namespace {

constexpr size_t kWindow = 64 << 10;
constexpr uint64_t kNearChunks = 16 << 10;  // chunks that are further apart are read page by page
constexpr int kWalkTries = 8;
constexpr int kPlausibleChunks = 4;            // from a page boundary on: there a region begins
constexpr uint64_t kMostForeignPages = 65536;  // of what others took by sbrk in between

uint64_t size_class(uint64_t size) { return size < kPageBytes ? size : std::bit_floor(size); }

// Headers, out of blocks that are read at once.
class Window {
 public:
  explicit Window(HeapMemory& memory) : memory_(memory) {}

  bool head(uint64_t at, ChunkHead& out) {
    if (at < start_ || at + kHeader > start_ + length_) {
      const bool near = at - last_ < kNearChunks;
      start_ = round_down(at, kPageBytes);
      length_ = memory_.read_run(start_, std::span(bytes_).first(near ? kWindow : kPageBytes));
    }
    last_ = at;
    if (at + kHeader > start_ + length_) return false;
    std::memcpy(&out, bytes_.data() + (at - start_), sizeof out);
    return true;
  }
  void drop() { length_ = 0; }

 private:
  HeapMemory& memory_;
  uint64_t start_ = 0, length_ = 0, last_ = 0;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kWindow);
};

class Walk {
 public:
  Walk(HeapMemory& memory, Arena& arena, Region& region, SizeClasses& sizes)
      : memory_(memory),
        window_(memory),
        arena_(arena),
        region_(region),
        sizes_(sizes),
        end_(region.chunks.end) {}

  void run() {
    uint64_t at = certain_ = region_.chunks.start;
    while (at < end_) {
      if (++steps_ % 64 == 0 && !memory_.step()) return give_up(at);
      const Look seen = look(at);
      if (seen.bad != nullptr) {
        at = again(at, seen.bad);
        continue;
      }
      if (seen.last) break;
      if (seen.fence) {
        at = past_fence(at);
        continue;
      }
      const uint64_t next = at + seen.size;
      if (!seen.used || is_fast(at)) {
        if (run_ == 0) run_ = at;
      } else {
        end_run(at);
        used_.push_back(seen.size);
      }
      if ((at ^ next) >> 16 != 0 && run_ == 0) keep(next);
      at = next;
    }
    end_run(std::min(at, end_));
    keep(end_);
  }

 private:
  struct Look {
    const char* bad = nullptr;
    uint64_t size = 0;
    bool used = true, fence = false, last = false;
  };

  Look look(uint64_t at) {
    ChunkHead head, next;
    if (!window_.head(at, head)) return {.bad = "a chunk is swapped, or its place was lost"};
    const uint64_t size = head.bytes();
    if (size == 0 && (head.size & kPrevInUse) != 0) return {.last = true};  // the end of an older heap
    if (size < kHeader || size % kChunkAlign != 0 || size > end_ - at || (head.size & kMappedChunk) != 0)
      return {.bad = "a chunk has no possible size"};
    if (size == kHeader) return {.size = size, .fence = true};
    if (at + size == end_) return {.size = size};  // a free chunk never touches top
    if (!window_.head(at + size, next)) return {.bad = "a chunk is swapped, or its place was lost"};
    const bool used = (next.size & kPrevInUse) != 0;
    if (!used && next.prev_size != size) return {.bad = "the two sizes of a free chunk differ"};
    return {.size = size, .used = used};
  }

  bool is_fast(uint64_t at) const {
    const auto found = std::lower_bound(arena_.fast.begin(), arena_.fast.end(), AddressRange{at, 0});
    return found != arena_.fast.end() && found->start == at;
  }
  void end_run(uint64_t end) {
    if (run_ != 0) free_.push_back({run_, end});
    run_ = 0;
  }
  // Everything up to here is certain.
  void keep(uint64_t at) {
    for (const AddressRange& run : free_) {
      region_.add_free(run, run.end != arena_.top);
      if (run.end == arena_.top) arena_.merged_top = run.start;
    }
    for (const uint64_t size : used_) sizes_[size_class(size)] += size;
    drop();
    certain_ = at;
    tries_ = 0;
  }
  void drop() {
    free_.clear();
    used_.clear();
    run_ = 0;
  }
  void give_up(uint64_t at) {
    drop();
    arena_.unknown_bytes += end_ - std::min(certain_, at);
    arena_.cut_short("the walk over its chunks takes more than one reading may");
  }
  uint64_t again(uint64_t at, const char* why) {
    if (++tries_ < kWalkTries) {
      drop();
      window_.drop();
      memory_.forget(at);
      return certain_;
    }
    arena_.cut_short(why);
    end_run(at);
    const uint64_t next = resume(at + kChunkAlign);
    arena_.unknown_bytes += next - at;
    keep(next);
    return next;
  }
  // One fencepost: the end of a heap. Two: what follows is another's, until a region begins again.
  uint64_t past_fence(uint64_t at) {
    end_run(at);
    at += kHeader;
    ChunkHead next;
    if (!arena_.main || at >= end_ || !window_.head(at, next) || next.bytes() != kHeader) return at;
    at = resume(at + kHeader);
    keep(at);
    return at;
  }
  // The next place where chunks certainly are: a page boundary with a few plausible ones, or a chunk that the bins know.
  uint64_t resume(uint64_t at) {
    const auto known = std::lower_bound(arena_.known.begin(), arena_.known.end(), at);
    const uint64_t next = known != arena_.known.end() && *known < end_ ? *known : end_;
    const uint64_t pages = arena_.main ? kMostForeignPages : 1;
    uint64_t page = round_up(at, kPageBytes);
    for (uint64_t i = 0; i < pages && page < next && memory_.step(); ++i, page += kPageBytes)
      if (plausible(page)) return page;
    return std::min(next, end_);
  }
  bool plausible(uint64_t chunk) {
    for (int i = 0; i < kPlausibleChunks && chunk < end_; ++i) {
      ChunkHead head;
      if (!memory_.get(chunk, head)) return false;
      const uint64_t size = head.bytes();
      if (size < kMinChunk || size % kChunkAlign != 0 || size > end_ - chunk ||
          (head.size & (kMappedChunk | kNonMain)) != 0)
        return false;
      chunk += size;
    }
    return true;
  }

  HeapMemory& memory_;
  Window window_;
  Arena& arena_;
  Region& region_;
  SizeClasses& sizes_;
  const uint64_t end_;
  uint64_t certain_ = 0, run_ = 0, steps_ = 0;
  int tries_ = 0;
  std::vector<AddressRange> free_;  // since `certain_`
  std::vector<uint64_t> used_;
};

}  // namespace

void walk_chunks(HeapMemory& memory, Arena& arena, SizeClasses& sizes) {
  for (Region& region : arena.regions) Walk(memory, arena, region, sizes).run();
}

}  // namespace memwhy::allocators
