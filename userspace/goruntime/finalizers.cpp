// SPDX-License-Identifier: Apache-2.0
#include "goruntime/finalizers.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

// The same in all releases from 1.19 to 1.27: runtime/mfinal.go.
constexpr size_t kFinalizerBlock = 4096, kBlockHeader = 24, kEntryBytes = 40;
constexpr uint64_t kEntriesOfBlock = (kFinalizerBlock - kBlockHeader) / kEntryBytes;
constexpr uint64_t kMostResults = 1 << 16;  // bytes of what a finalizer returns
constexpr size_t kMostBlocks = kMostFinalizers / kEntriesOfBlock;
constexpr size_t kMostCandidates = 1 << 16, kHeadsAtOnce = 64;
constexpr uint64_t kUserEnd = uint64_t{1} << 47;

using FinalizerBlock = std::array<std::byte, kFinalizerBlock>;

class FinalizerSearch {
 public:
  FinalizerSearch(remote::RemoteMemory& memory, const Globals& globals, std::vector<AddressRange> heap)
      : memory_(memory), globals_(globals), heap_(std::move(heap)) {}

  std::optional<FinalizerQueue> run() {
    std::optional<FinalizerQueue> best;
    std::vector<uint64_t> heads = candidates();
    for (size_t first = 0; first < heads.size(); first += kHeadsAtOnce) {
      const std::span<const uint64_t> part =
          std::span(heads).subspan(first, std::min(kHeadsAtOnce, heads.size() - first));
      for (const uint64_t head : likely(part)) {
        // The list of all blocks begins before those of the free and of the waiting ones, and has most.
        std::optional<FinalizerQueue> queue = follow(head);
        if (queue && (!best || queue->waiting > best->waiting)) best = std::move(queue);
      }
      if (!memory_.step(kHeadsAtOnce)) break;
    }
    return best;
  }

 private:
  bool plausible(uint64_t address) const {
    return address >= kPageBytes && address < kUserEnd && address % 8 == 0 && !in_any(heap_, address) &&
           !globals_.image.contains(address);
  }

  // Words of the program's variables that may be addresses of what the runtime has outside of its heap.
  std::vector<uint64_t> candidates() {
    std::vector<uint64_t> found;
    for (const AddressRange& range : globals_.data) {
      static_cast<void>(each_part(memory_, range, [&](uint64_t, std::span<const std::byte> bytes) {
        for (size_t at = 0; at + 8 <= bytes.size() && found.size() < kMostCandidates; at += 8)
          if (const uint64_t value = word(bytes, at); plausible(value)) found.push_back(value);
      }));
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  std::vector<uint64_t> likely(std::span<const uint64_t> heads) {
    std::array<std::array<std::byte, kBlockHeader + kEntryBytes>, kHeadsAtOnce> bytes;
    std::array<remote::Piece, kHeadsAtOnce> pieces;
    for (size_t i = 0; i < heads.size(); ++i) pieces[i] = {heads[i], bytes[i], true};
    static_cast<void>(memory_.read_each(std::span(pieces).first(heads.size())));
    std::vector<uint64_t> out;
    for (size_t i = 0; i < heads.size(); ++i)
      if (pieces[i].there && is_block(bytes[i])) out.push_back(heads[i]);
    return out;
  }

  static uint64_t count(std::span<const std::byte> block) { return field(block, {16, 4}); }

  // What an entry keeps; 0: it is none. Go 1.24 has cleanups in the same queue: a closure, and nothing else.
  uint64_t object_of(std::span<const std::byte> entry) const {
    const uint64_t function = word(entry, 0), object = word(entry, 8), type = word(entry, 24);
    if (object == 0)
      return in_any(heap_, function) && word(entry, 16) == 0 && type == 0 && word(entry, 32) == 0 ? function
                                                                                                  : 0;
    const bool whole = function >= kPageBytes && in_any(heap_, object) && word(entry, 16) <= kMostResults &&
                       type >= kPageBytes;
    return whole ? object : 0;
  }

  // A header, and as many entries as the bytes have.
  bool is_block(std::span<const std::byte> block) const {
    const uint64_t entries = count(block), all = word(block, 0), next = word(block, 8);
    if (entries > kEntriesOfBlock || field(block, {20, 4}) != 0 || (all != 0 && !plausible(all)) ||
        (next != 0 && !plausible(next)))
      return false;
    for (uint64_t i = 0; i < kEntriesOfBlock && kBlockHeader + kEntryBytes * (i + 1) <= block.size(); ++i) {
      const auto entry = block.subspan(kBlockHeader + kEntryBytes * i, kEntryBytes);
      if (i >= entries) return true;
      if (object_of(entry) == 0) return false;
    }
    return true;
  }

  // nullopt: one of them is no block, or nothing waits.
  std::optional<FinalizerQueue> follow(uint64_t at) {
    FinalizerQueue queue;
    std::set<uint64_t> seen;
    FinalizerBlock block;
    for (; at != 0; at = word(block, 0)) {
      if (!plausible(at) || !seen.insert(at).second || seen.size() > kMostBlocks) return std::nullopt;
      // The rest of a block that was never full may lie on an untouched page.
      const Result<uint64_t> there = memory_.read_present(at, block);
      if (!there || *there == 0 || !is_block(block)) return std::nullopt;
      const uint64_t entries = count(block);
      queue.waiting += entries;
      for (uint64_t i = 0; i < entries && queue.objects.size() < kMostFinalizers; ++i)
        queue.objects.push_back(
            object_of(std::span(block).subspan(kBlockHeader + kEntryBytes * i, kEntryBytes)));
    }
    if (queue.waiting == 0) return std::nullopt;
    return queue;
  }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  std::vector<AddressRange> heap_;
};

}  // namespace

std::optional<FinalizerQueue> read_finalizers(remote::RemoteMemory& memory, const Globals& globals) {
  Result<std::vector<AddressRange>> heap = heap_ranges(memory, *globals.layout, globals.mheap);
  if (!heap) return std::nullopt;
  return FinalizerSearch(memory, globals, std::move(*heap)).run();
}

}  // namespace memwhy::goruntime
