// SPDX-License-Identifier: Apache-2.0
// A C heap that a test makes up: libc's data with main_arena and mp_, arenas with chunks in a known order, in any of the
// layouts of glibc_layout.h. What is free is known by construction.
//
//   MadeHeap heap(shape 2.27-2.42, mp_ 2.35-2.42);  heap.used(1000); heap.free(8000); heap.used(24); heap.finish();
//   libc.so.6 rw 7f0000000000 +32 KiB   [heap] 555500000000   chunks 0x3f0 used, 0x1f50 free, 0x20 used, top to 132 KiB
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "allocators/glibc_layout.h"
#include "events/event.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::allocators::test {

constexpr uint64_t kData = 0x7f00'0000'0000, kDataBytes = 0x8000, kMainArena = kData + 0x1c60,
                   kPar = kData + 0x400;
constexpr uint64_t kBrk = 0x5555'0000'0000;

struct MadeArena {
  uint64_t address = 0, start = 0, at = 0, end = 0;  // chunks from start on, the next one at `at`
  uint64_t left_bytes = 0;                           // of memory that it has and that ends before `start`
  bool main = true, before_used = true;
  std::vector<AddressRange> used, free;
  std::map<size_t, std::vector<uint64_t>> fastbins;
};

class MadeHeap {
 public:
  explicit MadeHeap(const StateShape& shape = kStateShapes[0], const ParLayout& par = kParLayouts[1],
                    uint64_t bytes = 132 << 10)
      : shape_(shape), par_(par) {
    vmas.push_back(vma({kBrk, kBrk + bytes}, "[heap]"));
    vmas.push_back(vma({kData, kData + kDataBytes}, "/usr/lib/x86_64-linux-gnu/libc.so.6", 5));
    for (uint64_t at = kData; at < kData + kDataBytes; at += kPageBytes) memory.put_word(at, 0);
    MadeArena& main = arenas.emplace_back();
    main.address = kMainArena;
    main.start = main.at = kBrk;
    main.end = kBrk + bytes;
  }

  // A further arena, with one heap of `bytes`.
  void arena(uint64_t heap, uint64_t bytes) {
    vmas.push_back(vma({heap, heap + bytes}, ""));
    std::sort(vmas.begin(), vmas.end(), [](const auto& a, const auto& b) { return a.range < b.range; });
    MadeArena& arena = arenas.emplace_back();
    arena.main = false;
    arena.address = heap + kHeapInfo235;
    arena.start = arena.at =
        round_up(arena.address + shape_.start + kStateEnd + kHeader, kChunkAlign) - kHeader;
    arena.end = heap + bytes;
    memory.put_words(heap, {arena.address, 0, bytes, bytes, kPageBytes, 0});
  }

  // brk is refused from now on: what is left of [heap] is freed and ends in two fenceposts, top is in a mapping.
  void brk_refused(uint64_t mapping, uint64_t bytes) {
    MadeArena& main = arenas[0];
    free(main.end - main.at - 2 * kHeader);
    memory.put_word(main.end - 2 * kHeader + 8, kHeader);
    memory.put_word(main.end - kHeader + 8, kHeader | kPrevInUse);
    main.left_bytes = main.end - main.start;
    vmas.push_back(vma({mapping, mapping + bytes}, ""));
    std::sort(vmas.begin(), vmas.end(), [](const auto& a, const auto& b) { return a.range < b.range; });
    main.start = main.at = mapping;
    main.end = mapping + bytes;
    main.before_used = true;
  }

  // Chunks of these sizes, header included, in the last arena. Returns user memory.
  uint64_t used(uint64_t size) { return chunk(size, true); }
  uint64_t free(uint64_t size) { return chunk(size, false); }
  uint64_t fast(uint64_t size) {  // looks used; in a fastbin
    const uint64_t user = chunk(size, true);
    arenas.back().used.pop_back();
    arenas.back().free.push_back({user - kHeader, user - kHeader + size});
    arenas.back().fastbins[(size - kMinChunk) / 16].push_back(user - kHeader);
    return user;
  }
  // A chunk that is a mapping; finish() tells mp_.
  void mapped(uint64_t address, uint64_t bytes) {
    vmas.push_back(vma({address, address + bytes}, ""));
    std::sort(vmas.begin(), vmas.end(), [](const auto& a, const auto& b) { return a.range < b.range; });
    memory.put_words(address, {0, (bytes - (par_.shape243 ? kHeader : 0)) | kMappedChunk});
    mapped_.push_back({address, address + bytes});
  }

  void finish() {
    for (size_t i = 0; i < arenas.size(); ++i) {
      MadeArena& arena = arenas[i];
      const uint64_t bins = arena.address + shape_.start;
      memory.put_word(arena.at + 8, (arena.end - arena.at) | (arena.before_used ? kPrevInUse : 0));
      for (uint64_t word = arena.address; word < bins; word += 8) memory.put_word(word, 0);
      memory.put_word(bins - kTopBeforeBins, arena.at);
      memory.put_word(bins - 8, 0);
      for (size_t bin = 1; bin <= kBins; ++bin) link(arena, bins, bin);
      for (uint64_t word = kStateNext - 16; word < kStateEnd; word += 8) memory.put_word(bins + word, 0);
      const uint64_t system =
          arena.left_bytes + arena.end - (arena.main ? arena.start : arena.address - kHeapInfo235);
      memory.put_word(bins + kStateNext, arenas[(i + 1) % arenas.size()].address);
      memory.put_words(bins + kStateAttached, {1, system, system});
      if (shape_.fastbins == 0) continue;
      for (size_t bin = 0; bin < kFastbins; ++bin)
        link_fast(arena, bins - shape_.fastbins + 8 * bin, arena.fastbins[bin]);
    }
    put_par();
  }

  std::vector<events::ScanRun> resident() const {  // all that was put
    std::vector<events::ScanRun> runs;
    for (const PageNumber page : memory.pages()) {
      if (!runs.empty() && runs.back().page + runs.back().count == page)
        ++runs.back().count;
      else
        runs.push_back({page, 1, 0});
    }
    return runs;
  }
  uint64_t free_bytes() const {
    uint64_t sum = 0;
    for (const MadeArena& arena : arenas)
      for (const AddressRange& chunk : arena.free) sum += chunk.bytes();
    return sum;
  }

  static events::Vma vma(AddressRange range, const char* name, uint64_t inode = 0) {
    events::Vma out;
    out.range = range;
    out.read = out.write = true;
    out.inode = inode;
    out.name = name;
    return out;
  }

  remote::test::FakeMemory memory;
  std::vector<events::Vma> vmas;
  std::vector<MadeArena> arenas;

 private:
  uint64_t chunk(uint64_t size, bool used) {
    MadeArena& arena = arenas.back();
    const uint64_t at = arena.at;
    // Every page of it has been written, as by a program.
    for (uint64_t page = round_up(at + 1, kPageBytes); page < at + size; page += kPageBytes)
      memory.put_word(page, 0);
    memory.put_word(at + 8, size | (arena.before_used ? kPrevInUse : 0) | (arena.main ? 0 : kNonMain));
    if (!used) memory.put_word(at + size, size);
    (used ? arena.used : arena.free).push_back({at, at + size});
    if (!used) free_.push_back({&arena - arenas.data(), at});
    arena.at = at + size;
    arena.before_used = used;
    return at + kHeader;
  }
  // All free chunks are in the unsorted bin.
  void link(const MadeArena& arena, uint64_t bins, size_t bin) {
    const uint64_t head = bins + 16 * (bin - 1) - 16;
    uint64_t before = head;
    if (bin == 1) {
      for (const auto& [owner, at] : free_) {
        if (&arenas[static_cast<size_t>(owner)] != &arena) continue;
        memory.put_word(before + 16, at);
        memory.put_word(at + 24, before);
        before = at;
      }
    }
    memory.put_word(before + 16, head);
    memory.put_word(head + 24, before);
  }
  void link_fast(const MadeArena&, uint64_t head, const std::vector<uint64_t>& chunks) {
    uint64_t link = head;
    for (const uint64_t at : chunks) {
      put_link(link, at, link != head);
      link = at + kHeader;
    }
    put_link(link, 0, link != head);
  }
  void put_link(uint64_t place, uint64_t to, bool in_chunk) {
    memory.put_word(place, in_chunk && par_.safe_linking ? to ^ (place >> 12) : to);
  }
  void put_par() {
    const auto put = [&](int offset, uint64_t value) {
      memory.put_word(kPar + static_cast<uint64_t>(offset), value);
    };
    const auto put_int = [&](int offset, uint32_t value) {
      memory.put(kPar + static_cast<uint64_t>(offset), std::as_bytes(std::span(&value, 1)));
    };
    uint64_t bytes = 0;
    for (const AddressRange& chunk : mapped_) bytes += chunk.bytes();
    put(kParTrimThreshold, 128 << 10);
    put(kParTopPad, 128 << 10);
    put(kParMmapThreshold, 128 << 10);
    put(kParArenaTest, 8);
    put(kParArenaMax, 0);
    put_int(par_.n_mmaps, static_cast<uint32_t>(mapped_.size()));
    put_int(par_.n_mmaps_max, 65536);
    put_int(par_.max_n_mmaps, static_cast<uint32_t>(mapped_.size()));
    put(par_.mmapped_mem, bytes);
    put(par_.max_mmapped_mem, bytes);
    put(par_.sbrk_base, kBrk);
    put(par_.tcache_bins, 64);
    put(par_.tcache_max_bytes, 1032);
    put(par_.tcache_count, 7);
  }

  StateShape shape_;
  ParLayout par_;
  std::vector<std::pair<std::ptrdiff_t, uint64_t>> free_;
  std::vector<AddressRange> mapped_;
};

}  // namespace memwhy::allocators::test
