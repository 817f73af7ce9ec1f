// SPDX-License-Identifier: Apache-2.0
#include "timeline/page_table.h"

#include <array>
#include <cstddef>

namespace memwhy::timeline {
namespace {

// A run costs 10 bytes, a flat chunk 4,096; above this many the flat form is small enough and faster.
constexpr size_t kMaxRuns = 128;

// What std::map and shared_ptr add to a record (three links, colour, key; two counts and a vtable), by
// glibc's malloc.
constexpr size_t kPageNodeOverhead = 48, kPayloadOverhead = 32;

}  // namespace

bool PageTable::load(uint64_t chunk, ChunkWords& words) const {
  const auto it = chunks_.find(chunk);
  if (it == chunks_.end()) {
    words.fill(PageWord());
    return false;
  }
  const Slot& slot = it->second;
  if (!slot.payload) {
    words.fill(slot.inherited ? slot.uniform.inherited() : slot.uniform);
    return true;
  }
  const Payload& payload = *slot.payload;
  if (payload.ends.empty()) {
    std::copy(payload.words.begin(), payload.words.end(), words.begin());
  } else {
    auto at = words.begin();
    for (size_t i = 0; i < payload.ends.size(); ++i) {
      const auto end = words.begin() + payload.ends[i];
      std::fill(at, end, payload.words[i]);
      at = end;
    }
  }
  if (slot.inherited) {
    for (PageWord& word : words) word = word.inherited();
  }
  return true;
}

bool PageTable::store(uint64_t chunk, const ChunkWords& words) {
  // Where one run ends and the next begins, looked for once.
  std::array<uint16_t, kChunkPages> ends;
  size_t runs = 0;
  for (size_t i = 1; i < words.size(); ++i) {
    ends[runs] = static_cast<uint16_t>(i);
    runs += words[i] != words[i - 1] ? 1 : 0;
  }
  ends[runs++] = static_cast<uint16_t>(words.size());
  if (runs == 1 && words[0].empty()) {
    chunks_.erase(chunk);
    return true;
  }
  auto it = chunks_.find(chunk);
  if (it == chunks_.end()) {
    if (chunks_.size() >= kMaxChunks) return false;
    it = chunks_.emplace(chunk, Slot{}).first;
  }
  Slot& slot = it->second;
  slot.inherited = false;
  if (runs == 1) {
    slot.uniform = words[0];
    slot.payload.reset();
    return true;
  }
  const bool flat = runs > kMaxRuns;
  // A payload that a fork shares is never written; one that changes its form is made anew, so that no spare
  // room stays.
  if (!slot.payload || slot.payload.use_count() > 1 ||
      slot.payload->words.size() != (flat ? kChunkPages : runs)) {
    slot.payload = std::make_shared<Payload>();
  }
  Payload& payload = *slot.payload;
  payload.ends.clear();
  if (flat) {
    payload.words.assign(words.begin(), words.end());
    payload.ends.shrink_to_fit();
    return true;
  }
  payload.ends.assign(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(runs));
  payload.words.resize(runs);
  for (size_t i = 0; i < runs; ++i) payload.words[i] = words[ends[i] - 1];
  return true;
}

bool PageTable::uniform(uint64_t chunk, PageWord& word) const {
  const auto it = chunks_.find(chunk);
  word = PageWord();
  if (it == chunks_.end()) return true;
  if (it->second.payload) return false;
  word = it->second.inherited ? it->second.uniform.inherited() : it->second.uniform;
  return true;
}

bool PageTable::set_uniform(uint64_t chunk, PageWord word) {
  if (word.empty()) {
    chunks_.erase(chunk);
    return true;
  }
  auto it = chunks_.find(chunk);
  if (it == chunks_.end()) {
    if (full()) return false;
    it = chunks_.emplace(chunk, Slot{}).first;
  }
  it->second = Slot{word, false, nullptr};
  return true;
}

uint64_t PageTable::next_chunk(uint64_t chunk) const {
  const auto it = chunks_.lower_bound(chunk);
  return it == chunks_.end() ? UINT64_MAX : it->first;
}

PageTable PageTable::forked() const {
  PageTable child = *this;
  for (auto& [chunk, slot] : child.chunks_) slot.inherited = true;
  return child;
}

uint64_t PageTable::relative(uint64_t tick) {
  if (!based_) {
    based_ = true;
    base_ = tick > PageWord::kTickLimit / 2 ? tick - PageWord::kTickLimit / 2 : 0;
  }
  if (tick < base_) return 0;
  if (tick - base_ >= PageWord::kTickLimit) rebase(tick - PageWord::kTickLimit / 2);
  return tick - base_;
}

// Once in some days: the ticks of all words are moved; what would be older than the base becomes the base.
void PageTable::rebase(uint64_t base) {
  const uint64_t shift = base - base_;
  ChunkWords words;
  for (auto& [chunk, slot] : chunks_) {
    load(chunk, words);
    for (PageWord& word : words) {
      if (!word.empty()) word = word.at_tick(word.tick() > shift ? word.tick() - shift : 0);
    }
    store(chunk, words);  // the chunk exists and does not become empty: no record comes or goes
  }
  base_ = base;
}

size_t PageTable::memory_bytes() const {
  size_t bytes = 0;
  for (const auto& [chunk, slot] : chunks_) {
    bytes += kPageNodeOverhead + sizeof(Slot);
    if (!slot.payload) continue;
    const size_t payload = kPayloadOverhead + sizeof(Payload) +
                           slot.payload->words.capacity() * sizeof(PageWord) +
                           slot.payload->ends.capacity() * sizeof(uint16_t);
    bytes += payload / static_cast<size_t>(slot.payload.use_count());
  }
  return bytes;
}

void PageEditor::open(uint64_t chunk) {
  if (loaded_ && chunk == chunk_) return;
  flush();
  table_.load(chunk, words_);
  chunk_ = chunk;
  loaded_ = true;
}

void PageEditor::flush() {
  if (loaded_ && changed_) table_.store(chunk_, words_);
  loaded_ = changed_ = false;
}

}  // namespace memwhy::timeline
