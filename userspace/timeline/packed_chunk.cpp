// SPDX-License-Identifier: Apache-2.0
#include "timeline/packed_chunk.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace memwhy::timeline {
namespace {

// A flat chunk of which few runs are left is packed again, but not at the number at which it became flat: one that is about
// there would go back and forth.
constexpr size_t kFewRuns = PackedChunk::kMaxRuns / 2;

// Opens or closes room at `at`: `before` elements there become `after`.
template <typename T>
void resize_at(std::vector<T>& list, size_t at, size_t before, size_t after) {
  const auto place = list.begin() + static_cast<std::ptrdiff_t>(at);
  if (after > before) {
    list.insert(place, after - before, T{});
  } else {
    list.erase(place, place + static_cast<std::ptrdiff_t>(before - after));
  }
}

// Equal neighbours become one.
void join(std::vector<WordRun>& runs) {
  size_t kept = 0;
  for (size_t i = 1; i < runs.size(); ++i) {
    if (runs[i].word != runs[kept].word) ++kept;
    runs[kept] = runs[i];
  }
  runs.resize(kept + 1);
}

}  // namespace

PackedChunk::PackedChunk(PageWord all) : words_(1, all), ends_(1, uint16_t{kChunkPages}) {}

void PackedChunk::read(uint16_t first, uint16_t end, std::vector<WordRun>& runs) const {
  if (flat()) {
    for (size_t at = first; at < end;) {
      size_t next = at + 1;
      while (next < end && words_[next] == words_[at]) ++next;
      runs.push_back({words_[at], static_cast<uint16_t>(next)});
      at = next;
    }
    return;
  }
  auto i = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), first) - ends_.begin());
  for (uint16_t at = first; at < end; ++i) {
    at = std::min(ends_[i], end);
    runs.push_back({words_[i], at});
  }
}

void PackedChunk::read(ChunkWords& words) const {
  if (flat()) {
    std::copy(words_.begin(), words_.end(), words.begin());
    return;
  }
  auto at = words.begin();
  for (size_t i = 0; i < ends_.size(); ++i) {
    const auto end = words.begin() + ends_[i];
    std::fill(at, end, words_[i]);
    at = end;
  }
}

void PackedChunk::write(uint16_t first, std::vector<WordRun>& runs) {
  if (flat()) return write_flat(first, runs);
  join(runs);
  const uint16_t end = runs.back().end;
  // Runs [low, high] are touched.
  auto low = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), first) - ends_.begin());
  size_t high = low;
  while (ends_[high] < end) ++high;
  const bool cut_left = (low > 0 ? ends_[low - 1] : 0)<first, cut_right = ends_[high]> end;
  // What stays of the first and of the last one, unless it goes on with the same word.
  const WordRun left{words_[low], first}, right{words_[high], ends_[high]};
  bool keep_left = false, keep_right = false;
  if (cut_left) {
    keep_left = left.word != runs.front().word;
  } else if (low > 0 && words_[low - 1] == runs.front().word) {
    --low;
  }
  if (cut_right) {
    keep_right = right.word != runs.back().word;
    if (!keep_right) runs.back().end = right.end;
  } else if (high + 1 < ends_.size() && words_[high + 1] == runs.back().word) {
    runs.back().end = ends_[++high];
  }
  const size_t before = high - low + 1, after = runs.size() + (keep_left ? 1 : 0) + (keep_right ? 1 : 0);
  if (before != after) {
    resize_at(words_, low, before, after);
    resize_at(ends_, low, before, after);
  }
  size_t at = low;
  const auto put = [&](const WordRun& run) {
    words_[at] = run.word;
    ends_[at++] = run.end;
  };
  if (keep_left) put(left);
  for (const WordRun& run : runs) put(run);
  if (keep_right) put(right);
  if (ends_.size() > kMaxRuns) {
    ChunkWords words;
    read(words);
    assign(words);
  }
}

void PackedChunk::write_flat(uint16_t first, std::span<const WordRun> runs) {
  const size_t end = runs.back().end;
  flat_runs_ -= edges(first, end + 1);
  auto at = words_.begin() + first;
  for (const WordRun& run : runs) {
    std::fill(at, words_.begin() + run.end, run.word);
    at = words_.begin() + run.end;
  }
  flat_runs_ += edges(first, end + 1);
  pack_if_few();
}

void PackedChunk::pack_if_few() {
  if (flat_runs_ > kFewRuns) return;
  ChunkWords words;
  read(words);
  assign(words);
}

void PackedChunk::assign(const ChunkWords& words) {
  // Where one run ends and the next begins, looked for once.
  std::array<uint16_t, kChunkPages> ends;
  size_t runs = 0;
  for (size_t i = 1; i < words.size(); ++i) {
    ends[runs] = static_cast<uint16_t>(i);
    runs += words[i] != words[i - 1] ? 1 : 0;
  }
  ends[runs++] = static_cast<uint16_t>(words.size());
  const size_t kept = runs > kMaxRuns ? kChunkPages : runs;
  if (words_.capacity() != kept) {
    words_ = std::vector<PageWord>();
    words_.reserve(kept);
  }
  if (kept == kChunkPages) {
    words_.assign(words.begin(), words.end());
    ends_ = std::vector<uint16_t>();
    flat_runs_ = runs;
    return;
  }
  if (ends_.capacity() != runs) {
    ends_ = std::vector<uint16_t>();
    ends_.reserve(runs);
  }
  ends_.assign(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(runs));
  words_.resize(runs);
  for (size_t i = 0; i < runs; ++i) words_[i] = words[ends[i] - 1];
}

void PackedChunk::inherit() {
  ChunkWords words;
  read(words);
  for (PageWord& word : words) word = word.inherited();
  assign(words);
}

}  // namespace memwhy::timeline
