// SPDX-License-Identifier: Apache-2.0
// PageTable: PageWord of each page of one address space, packed by chunks of 2 MiB.
//
// What it is: storage. What it is not: rules; those are PageModel's (operations) and Reconciler's (scans).
//
//   leaf 0xfe268 (128 MiB)  -> chunk 0x3f9a00 uniform { fault, stack 9, tick 49,000 }     a huge page, a memset
//                              chunk 0x3f9a01 runs    { word, word, word }                10 bytes a run
//                              chunk 0x3f9a02 flat    { 512 words }                       4 KiB: pages of mixed stacks
//   leaf 0xfe269            -> even { before attach, tick 48,120 }                          64 chunks of one word: a large mapping
//
// A fork shares the leaves of the parent, and a leaf that one of the two writes still shares its chunks: forking 16 GiB costs
// 128 references, and then what is written.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "timeline/packed_chunk.h"
#include "timeline/page_word.h"

namespace memwhy::timeline {

class PageTable {
 public:
  // 1 TiB of address space with pages in it; what lies beyond is counted, not remembered.
  static constexpr size_t kMaxChunks = size_t{1} << 19;

  // fn(PageRange, PageWord&) for each run of pages with equal words of the range, in order; fn must not use the table's words. A
  // range of any length costs what is known of it. `existing`: only chunks of which something is known; so is every range when
  // the table has no more room. Returns the number of runs visited.
  template <typename Fn>
  uint64_t each(PageRange range, bool existing, Fn fn) {
    uint64_t steps = 0;
    while (!range.empty()) {
      const uint64_t chunk = range.start / kChunkPages;
      const PageNumber base = chunk * kChunkPages;
      const auto first = static_cast<uint16_t>(range.start - base);
      const auto end = static_cast<uint16_t>(std::min<PageNumber>(range.end - base, kChunkPages));
      if (chunk % kLeafChunks == 0 && first == 0 && range.pages() >= kLeafChunks * kChunkPages) {
        const std::optional<PageWord> all = even(chunk);
        if (all && !(all->empty() && (existing || full()))) {
          PageWord word = *all;
          fn(PageRange{base, base + kLeafChunks * kChunkPages}, word);
          if (word != *all) fill(chunk, kLeafChunks, word);
          range.start = base + kLeafChunks * kChunkPages;
          ++steps;
          continue;
        }
      }
      if (PackedChunk* packed = own_packed(chunk)) {
        steps += packed->edit(first, end, runs_, [&](uint16_t from, uint16_t to, PageWord& word) {
          fn(PageRange{base + from, base + to}, word);
        });
        if (packed->runs() == 1) set_uniform(chunk, PageWord(packed->first()));
        range.start = base + end;
        continue;
      }
      if (!read(chunk, first, end) && (existing || full())) {
        const uint64_t next = next_chunk(chunk);
        if (next == UINT64_MAX || next * kChunkPages >= range.end) return steps;
        range.start = next * kChunkPages;
        continue;
      }
      bool changed = false;
      PageNumber at = range.start;
      for (WordRun& run : runs_) {
        PageWord word = run.word;
        fn(PageRange{at, base + run.end}, word);
        changed |= word != run.word;
        run.word = word;
        at = base + run.end;
      }
      steps += runs_.size();
      if (changed) write(chunk, first);
      range.start = base + end;
    }
    return steps;
  }

  // The words of a chunk; false, and all empty, when nothing is known of it.
  bool load(uint64_t chunk, ChunkWords& words) const;
  // Packs; a chunk of empty words is dropped. False: no room.
  bool store(uint64_t chunk, const ChunkWords& words);
  // The same for `count` chunks of this one word, of which nothing was known or the same: as many as there is room for.
  void fill(uint64_t chunk, uint64_t count, PageWord word);
  // Up to which chunk the words are those of this one: all equal, or unknown. `chunk` + 1: it has several.
  uint64_t alike_until(uint64_t chunk) const;

  bool full() const { return chunks_ >= kMaxChunks; }
  // The first chunk >= `chunk` of which something is known; UINT64_MAX: none.
  uint64_t next_chunk(uint64_t chunk) const;
  bool empty() const { return chunks_ == 0; }
  void clear() {
    last_ = nullptr;
    leaves_.clear();
    chunks_ = 0;
  }

  // This table as a forked child has it.
  PageTable forked() const;

  // Ticks inside words are relative: base <= tick < base + 2^28, older ones count as base.
  uint64_t relative(uint64_t tick);
  uint64_t absolute(PageWord word) const { return base_ + word.tick(); }

  size_t chunks() const { return chunks_; }
  size_t own_chunks() const;  // of which no other table shares the record
  size_t memory_bytes() const;

 private:
  static constexpr uint64_t kLeafChunks = 64;
  struct Slot {
    PageWord uniform;        // of all pages, when there is no payload
    bool inherited = false;  // words are the parent's: inherited() when read
    std::shared_ptr<PackedChunk> payload;
  };
  struct Leaf {
    uint64_t known = 0;       // bit i: something is known of chunk i
    std::vector<Slot> slots;  // of those, in order
    bool even = false;        // all are known and equal, without payload: there is one slot for them
    size_t index(uint64_t chunk) const;
  };
  struct LeafRef {
    std::shared_ptr<Leaf> leaf = std::make_shared<Leaf>();
    bool inherited = false;  // all of its slots
  };
  static PageWord word_of(const LeafRef& ref, const Slot& slot) {
    return ref.inherited || slot.inherited ? slot.uniform.inherited() : slot.uniform;
  }
  PackedChunk* own_packed(uint64_t chunk);
  std::optional<PageWord> even(uint64_t chunk) const;
  const Slot* find(uint64_t chunk, bool& inherited) const;
  bool read(uint64_t chunk, uint16_t first, uint16_t end);
  bool write(uint64_t chunk, uint16_t first);
  bool set_uniform(uint64_t chunk, PageWord word);
  Slot* own(uint64_t chunk);
  void erase(uint64_t chunk);
  static Leaf& own_leaf(LeafRef& ref);
  void rebase(uint64_t base);

  std::map<uint64_t, LeafRef> leaves_;  // by chunk / 64
  LeafRef* last_ = nullptr;             // of leaves_, used last: neighbours come together
  uint64_t last_number_ = 0;
  size_t chunks_ = 0;
  std::vector<WordRun> runs_;  // at work in each()
  uint64_t base_ = 0;
  bool based_ = false;
};

}  // namespace memwhy::timeline
