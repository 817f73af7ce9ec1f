// SPDX-License-Identifier: Apache-2.0
// PageTable: PageWord of each page of one address space, packed by chunks of 2 MiB.
//
// What it is: storage. What it is not: rules; those are PageModel's (operations) and Reconciler's (scans).
//
//   chunk 0x3f89a0 -> uniform { fault, stack 9, tick 49,000 }               one record: a huge page, a memset
//   chunk 0x3f89a1 -> runs    { word, word, word } ends { 17, 300, 512 }    10 bytes a run
//   chunk 0x3f89a2 -> flat    { 512 words }                                 4 KiB: pages of mixed stacks
//
// A fork shares the payloads of the parent until one of the two writes: forking 16 GiB copies 8,192 records.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "timeline/page_word.h"

namespace memwhy::timeline {

class PageTable {
 public:
  // 1 TiB of address space with pages in it; what lies beyond is counted, not remembered.
  static constexpr size_t kMaxChunks = size_t{1} << 19;

  // The words of a chunk; false, and all empty, when nothing is known of it.
  bool load(uint64_t chunk, ChunkWords& words) const;
  // Packs; a chunk of empty words is dropped. False: no room.
  bool store(uint64_t chunk, const ChunkWords& words);

  // Whether all words of a chunk are equal (of one that is not known: empty), and which it is. False: or not known to be.
  bool uniform(uint64_t chunk, PageWord& word) const;
  // As store(), of equal words.
  bool set_uniform(uint64_t chunk, PageWord word);
  bool full() const { return chunks_.size() >= kMaxChunks; }

  // The first chunk >= `chunk` of which something is known; UINT64_MAX: none.
  uint64_t next_chunk(uint64_t chunk) const;
  bool empty() const { return chunks_.empty(); }
  void clear() { chunks_.clear(); }

  // This table as a forked child has it.
  PageTable forked() const;

  // Ticks inside words are relative: base <= tick < base + 2^28, older ones count as base.
  uint64_t relative(uint64_t tick);
  // False: relative(tick) will rewrite all words. Nothing may be unpacked then.
  bool holds(uint64_t tick) const { return based_ && (tick < base_ || tick - base_ < PageWord::kTickLimit); }
  uint64_t absolute(PageWord word) const { return base_ + word.tick(); }

  size_t memory_bytes() const;

 private:
  // ends empty: flat. Else words[i] covers pages ends[i - 1] .. ends[i].
  struct Payload {
    std::vector<PageWord> words;
    std::vector<uint16_t> ends;
  };
  struct Slot {
    PageWord uniform;        // of all pages, when there is no payload
    bool inherited = false;  // words are the parent's: inherited() when read
    std::shared_ptr<Payload> payload;
  };
  void rebase(uint64_t base);

  std::map<uint64_t, Slot> chunks_;
  uint64_t base_ = 0;
  bool based_ = false;
};

// Works on one chunk at a time, unpacked, and packs it when the next one is asked for: neighbouring edits are cheap. A chunk
// whose words are all equal stays packed when it is covered as a whole: a range of any length costs what is known of it.
class PageEditor {
 public:
  explicit PageEditor(PageTable& table) : table_(table) {}
  PageEditor(const PageEditor&) = delete;
  PageEditor& operator=(const PageEditor&) = delete;

  // fn(PageRange, PageWord&) for each run of pages with equal words of the range, in order. `existing`: only chunks of which
  // something is known; so is every range when the table has no more room.
  template <typename Fn>
  void each(PageRange range, bool existing, Fn fn) {
    while (!range.empty()) {
      uint64_t chunk = range.start / kChunkPages;
      if ((existing || table_.full()) && !(loaded_ && chunk == chunk_)) {
        flush();
        const uint64_t next = table_.next_chunk(chunk);
        if (next != chunk) {
          if (next == UINT64_MAX || next * kChunkPages >= range.end) return;
          range.start = next * kChunkPages;
          chunk = next;
        }
      }
      const PageNumber end = std::min<PageNumber>(range.end, (chunk + 1) * kChunkPages);
      PageWord same;
      if (end - range.start == kChunkPages && !(loaded_ && chunk == chunk_) && table_.uniform(chunk, same)) {
        ++steps_;
        fn(PageRange{range.start, end}, same);
        table_.set_uniform(chunk, same);
      } else {
        open(chunk);
        runs({range.start, end}, fn);
      }
      range.start = end;
    }
  }
  // Must be called at the end: what was changed last is not in the table before. Not in a destructor, since it takes memory.
  void flush();
  uint64_t steps() const { return steps_; }  // runs of equal words that were looked at

 private:
  void open(uint64_t chunk);
  template <typename Fn>
  void runs(PageRange pages, Fn& fn) {
    for (PageNumber page = pages.start; page < pages.end;) {
      const size_t first = page % kChunkPages, limit = first + (pages.end - page);
      const PageWord word = words_[first];
      size_t last = first + 1;
      while (last < limit && words_[last] == word) ++last;
      PageWord now = word;
      ++steps_;
      fn(PageRange{page, page + (last - first)}, now);
      if (now != word) {
        std::fill(words_.begin() + first, words_.begin() + last, now);
        changed_ = true;
      }
      page += last - first;
    }
  }

  PageTable& table_;
  ChunkWords words_;
  uint64_t chunk_ = 0, steps_ = 0;
  bool loaded_ = false, changed_ = false;
};

}  // namespace memwhy::timeline
