// SPDX-License-Identifier: Apache-2.0
// PackedChunk: the words of the 512 pages of one chunk, edited as they are packed.
//
// What it is: runs of equal words, or 512 words where there are many runs. What it is not: which chunk it is, and with
// whom it is shared; that is PageTable's.
//
//   munmap of pages 20..30:   words_ { a,  b,   c   }    ->   words_ { a,  b,  -,  b,   c   }
//                             ends_  { 17, 300, 512 }         ends_  { 17, 20, 30, 300, 512 }     a few words move, not 512
//
// Neighbouring runs are never equal: equal ones are merged.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "timeline/page_word.h"

namespace memwhy::timeline {

// Pages of a chunk that are known by one word: from where the run before it ends, to `end`.
struct WordRun {
  PageWord word;
  uint16_t end;
};

class PackedChunk {
 public:
  // A run costs 10 bytes, the flat form 4,096; above this many runs the flat form is small enough and faster.
  static constexpr size_t kMaxRuns = 128;

  explicit PackedChunk(PageWord all);
  explicit PackedChunk(const ChunkWords& words) { assign(words); }

  // Appends the runs of pages [first, end) to `runs`.
  void read(uint16_t first, uint16_t end, std::vector<WordRun>& runs) const;
  void read(ChunkWords& words) const;
  // Pages from `first` on become these runs, of which neighbours may be equal; `runs` is used up.
  void write(uint16_t first, std::vector<WordRun>& runs);
  // fn(first, end, PageWord&) for each run of pages [first, end), which is changed to what fn makes of it. `runs`: room to work
  // in. How many runs there were.
  template <typename Fn>
  size_t edit(uint16_t first, uint16_t end, std::vector<WordRun>& runs, Fn fn) {
    if (flat()) return edit_flat(first, end, fn);
    runs.clear();
    read(first, end, runs);
    const size_t steps = runs.size();
    bool changed = false;
    uint16_t at = first;
    for (WordRun& run : runs) {
      const PageWord word = run.word;
      fn(at, run.end, run.word);
      changed |= run.word != word;
      at = run.end;
    }
    if (changed) write(first, runs);
    return steps;
  }
  // All pages; no spare room is kept.
  void assign(const ChunkWords& words);
  void inherit();  // as a forked child has it

  size_t runs() const { return flat() ? flat_runs_ : ends_.size(); }
  PageWord first() const { return words_.front(); }
  size_t memory_bytes() const {
    return words_.capacity() * sizeof(PageWord) + ends_.capacity() * sizeof(uint16_t);
  }

 private:
  bool flat() const { return ends_.empty(); }
  void write_flat(uint16_t first, std::span<const WordRun> runs);
  void pack_if_few();
  // Where the word changes between two pages, of which the second is in [first, end).
  size_t edges(size_t first, size_t end) const {
    size_t count = 0;
    for (size_t i = std::max<size_t>(first, 1); i < std::min<size_t>(end, kChunkPages); ++i)
      count += words_[i] != words_[i - 1] ? 1 : 0;
    return count;
  }
  template <typename Fn>
  size_t edit_flat(uint16_t first, uint16_t end, Fn& fn) {
    size_t steps = 0;
    for (uint16_t at = first; at < end; ++steps) {
      const PageWord word = words_[at];
      uint16_t next = at + 1;
      while (next < end && words_[next] == word) ++next;
      PageWord now = word;
      fn(at, next, now);
      if (now != word) {
        flat_runs_ -= edges(at, next + size_t{1});
        std::fill(words_.begin() + at, words_.begin() + next, now);
        flat_runs_ += edges(at, next + size_t{1});
      }
      at = next;
    }
    pack_if_few();
    return steps;
  }

  std::vector<PageWord> words_;  // words_[i] of pages ends_[i - 1] .. ends_[i]; flat: of page i
  std::vector<uint16_t> ends_;
  size_t flat_runs_ = 0;
};

}  // namespace memwhy::timeline
