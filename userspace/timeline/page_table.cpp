// SPDX-License-Identifier: Apache-2.0
#include "timeline/page_table.h"

#include <bit>
#include <cstddef>

namespace memwhy::timeline {
namespace {

// What std::map and shared_ptr add to a record (three links, colour, key; two counts and a vtable), by
// glibc's malloc.
constexpr size_t kNodeOverhead = 48, kSharedOverhead = 32;

}  // namespace

size_t PageTable::Leaf::index(uint64_t chunk) const {
  if (even) return 0;
  const uint64_t below = (uint64_t{1} << chunk % kLeafChunks) - 1;
  return static_cast<size_t>(std::popcount(known & below));
}

// The record of a chunk as it is to be read.
const PageTable::Slot* PageTable::find(uint64_t chunk, bool& inherited) const {
  const auto it = leaves_.find(chunk / kLeafChunks);
  if (it == leaves_.end()) return nullptr;
  const Leaf& leaf = *it->second.leaf;
  if ((leaf.known >> chunk % kLeafChunks & 1) == 0) return nullptr;
  const Slot& slot = leaf.slots[leaf.index(chunk)];
  inherited = it->second.inherited || slot.inherited;
  return &slot;
}

// A chunk of several runs that is not shared: it may be changed in place.
PackedChunk* PageTable::own_packed(uint64_t chunk) {
  if (last_ == nullptr || last_number_ != chunk / kLeafChunks) {
    const auto it = leaves_.find(chunk / kLeafChunks);
    if (it == leaves_.end()) return nullptr;
    last_ = &it->second;
    last_number_ = it->first;
  }
  Leaf& leaf = *last_->leaf;
  if (last_->inherited || last_->leaf.use_count() > 1 || (leaf.known >> chunk % kLeafChunks & 1) == 0)
    return nullptr;
  const Slot& slot = leaf.slots[leaf.index(chunk)];
  if (slot.inherited || slot.payload == nullptr || slot.payload.use_count() > 1) return nullptr;
  return slot.payload.get();
}

PageTable::Leaf& PageTable::own_leaf(LeafRef& ref) {
  if (ref.leaf.use_count() > 1) ref.leaf = std::make_shared<Leaf>(*ref.leaf);
  if (ref.inherited) {
    for (Slot& slot : ref.leaf->slots) slot.inherited = true;
    ref.inherited = false;
  }
  Leaf& leaf = *ref.leaf;
  if (leaf.even) {
    leaf.slots.resize(kLeafChunks, Slot(leaf.slots.front()));
    leaf.even = false;
  }
  return leaf;
}

// The record of a chunk to be written, made when there is none; nullptr: no room.
PageTable::Slot* PageTable::own(uint64_t chunk) {
  const uint64_t bit = uint64_t{1} << chunk % kLeafChunks;
  auto it = leaves_.find(chunk / kLeafChunks);
  if (it == leaves_.end() || (it->second.leaf->known & bit) == 0) {
    if (full()) return nullptr;
    if (it == leaves_.end()) it = leaves_.try_emplace(chunk / kLeafChunks).first;
    Leaf& leaf = own_leaf(it->second);
    leaf.slots.insert(leaf.slots.begin() + static_cast<std::ptrdiff_t>(leaf.index(chunk)), Slot{});
    leaf.known |= bit;
    ++chunks_;
  }
  Leaf& leaf = own_leaf(it->second);
  return &leaf.slots[leaf.index(chunk)];
}

void PageTable::erase(uint64_t chunk) {
  const uint64_t bit = uint64_t{1} << chunk % kLeafChunks;
  const auto it = leaves_.find(chunk / kLeafChunks);
  if (it == leaves_.end() || (it->second.leaf->known & bit) == 0) return;
  --chunks_;
  if (it->second.leaf->known == bit) {
    last_ = nullptr;
    leaves_.erase(it);
    return;
  }
  Leaf& leaf = own_leaf(it->second);
  leaf.slots.erase(leaf.slots.begin() + static_cast<std::ptrdiff_t>(leaf.index(chunk)));
  leaf.known &= ~bit;
}

// Fills runs_ with pages [first, end) of a chunk; false: nothing is known of them.
bool PageTable::read(uint64_t chunk, uint16_t first, uint16_t end) {
  runs_.clear();
  bool inherited = false;
  const Slot* slot = find(chunk, inherited);
  if (slot == nullptr || slot->payload == nullptr) {
    runs_.push_back({slot == nullptr ? PageWord() : slot->uniform, end});
  } else {
    slot->payload->read(first, end, runs_);
  }
  if (inherited) {
    for (WordRun& run : runs_) run.word = run.word.inherited();
  }
  return slot != nullptr;
}

// Puts runs_ at `first`. False: no room.
bool PageTable::write(uint64_t chunk, uint16_t first) {
  const bool whole = first == 0 && runs_.back().end == kChunkPages;
  if (whole && std::all_of(runs_.begin(), runs_.end(),
                           [this](const WordRun& run) { return run.word == runs_.front().word; }))
    return set_uniform(chunk, runs_.front().word);
  Slot* slot = own(chunk);
  if (slot == nullptr) return false;
  if (slot->payload == nullptr) {
    slot->payload =
        std::make_shared<PackedChunk>(slot->inherited ? slot->uniform.inherited() : slot->uniform);
  } else if (slot->inherited || slot->payload.use_count() > 1) {
    slot->payload = std::make_shared<PackedChunk>(*slot->payload);
    if (slot->inherited) slot->payload->inherit();
  }
  slot->inherited = false;
  slot->payload->write(first, runs_);
  if (slot->payload->runs() > 1) return true;
  const PageWord all = slot->payload->first();
  return set_uniform(chunk, all);
}

bool PageTable::set_uniform(uint64_t chunk, PageWord word) {
  if (word.empty()) {
    erase(chunk);
    return true;
  }
  Slot* slot = own(chunk);
  if (slot == nullptr) return false;
  *slot = Slot{word, false, nullptr};
  return true;
}

bool PageTable::load(uint64_t chunk, ChunkWords& words) const {
  bool inherited = false;
  const Slot* slot = find(chunk, inherited);
  if (slot == nullptr || slot->payload == nullptr) {
    words.fill(slot == nullptr ? PageWord() : slot->uniform);
  } else {
    slot->payload->read(words);
  }
  if (inherited) {
    for (PageWord& word : words) word = word.inherited();
  }
  return slot != nullptr;
}

bool PageTable::store(uint64_t chunk, const ChunkWords& words) {
  if (std::all_of(words.begin(), words.end(), [&](PageWord word) { return word == words[0]; }))
    return set_uniform(chunk, words[0]);
  Slot* slot = own(chunk);
  if (slot == nullptr) return false;
  slot->inherited = false;
  if (slot->payload != nullptr && slot->payload.use_count() == 1) {
    slot->payload->assign(words);
  } else {
    slot->payload = std::make_shared<PackedChunk>(words);
  }
  return true;
}

void PageTable::fill(uint64_t chunk, uint64_t count, PageWord word) {
  const uint64_t end = chunk + count;
  if (word.empty()) chunk = next_chunk(chunk);
  while (chunk < end) {
    const uint64_t number = chunk / kLeafChunks, next = (number + 1) * kLeafChunks;
    const auto it = leaves_.find(number);
    const size_t known = it == leaves_.end() ? 0 : static_cast<size_t>(std::popcount(it->second.leaf->known));
    const bool whole = chunk % kLeafChunks == 0 && next <= end;
    if (whole && word.empty()) {
      last_ = nullptr;
      leaves_.erase(it);
      chunks_ -= known;
    } else if (whole && chunks_ - known + kLeafChunks <= kMaxChunks) {
      const Leaf all{~uint64_t{0}, {Slot{word, false, nullptr}}, true};
      leaves_.insert_or_assign(number, LeafRef{std::make_shared<Leaf>(all), false});
      chunks_ += kLeafChunks - known;
    } else {
      for (const uint64_t stop = std::min(next, end); chunk < stop; ++chunk)
        if (!set_uniform(chunk, word)) return;
    }
    chunk = word.empty() ? next_chunk(next) : next;
  }
}

uint64_t PageTable::alike_until(uint64_t chunk) const {
  auto it = leaves_.find(chunk / kLeafChunks);
  if (it == leaves_.end() || (it->second.leaf->known >> chunk % kLeafChunks & 1) == 0)
    return next_chunk(chunk);
  const Slot& first = it->second.leaf->slots[it->second.leaf->index(chunk)];
  if (first.payload != nullptr) return chunk + 1;
  const PageWord word = word_of(it->second, first);
  for (; it != leaves_.end() && it->first == chunk / kLeafChunks; ++it) {
    const auto& [number, ref] = *it;
    const Leaf& leaf = *ref.leaf;
    const auto same = [&](const Slot& slot) {
      return slot.payload == nullptr && word_of(it->second, slot) == word;
    };
    if (leaf.even) {
      if (!same(leaf.slots.front())) return chunk;
      chunk = (number + 1) * kLeafChunks;
      continue;
    }
    for (; chunk / kLeafChunks == number; ++chunk)
      if ((leaf.known >> chunk % kLeafChunks & 1) == 0 || !same(leaf.slots[leaf.index(chunk)])) return chunk;
  }
  return chunk;
}

// The word of a whole leaf, of which nothing is known or one thing; nullopt: several.
std::optional<PageWord> PageTable::even(uint64_t chunk) const {
  const auto it = leaves_.find(chunk / kLeafChunks);
  if (it == leaves_.end()) return PageWord();
  if (!it->second.leaf->even) return std::nullopt;
  return word_of(it->second, it->second.leaf->slots.front());
}

uint64_t PageTable::next_chunk(uint64_t chunk) const {
  auto it = leaves_.lower_bound(chunk / kLeafChunks);
  if (it == leaves_.end()) return UINT64_MAX;
  uint64_t known = it->second.leaf->known;
  if (it->first == chunk / kLeafChunks) {
    known &= ~uint64_t{0} << chunk % kLeafChunks;
    if (known == 0) {
      if (++it == leaves_.end()) return UINT64_MAX;
      known = it->second.leaf->known;
    }
  }
  return it->first * kLeafChunks + static_cast<uint64_t>(std::countr_zero(known));
}

PageTable PageTable::forked() const {
  PageTable child;
  child.leaves_ = leaves_;
  for (auto& [number, ref] : child.leaves_) ref.inherited = true;
  child.chunks_ = chunks_;
  child.base_ = base_;
  child.based_ = based_;
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
  for (uint64_t chunk = next_chunk(0); chunk != UINT64_MAX; chunk = next_chunk(chunk + 1)) {
    load(chunk, words);
    for (PageWord& word : words) {
      if (!word.empty()) word = word.at_tick(word.tick() > shift ? word.tick() - shift : 0);
    }
    store(chunk, words);  // the chunk exists and does not become empty: no record comes or goes
  }
  base_ = base;
}

size_t PageTable::own_chunks() const {
  size_t own = 0;
  for (const auto& [number, ref] : leaves_) {
    if (ref.leaf.use_count() > 1) continue;
    own += ref.leaf->even ? kLeafChunks
                          : static_cast<size_t>(std::count_if(
                                ref.leaf->slots.begin(), ref.leaf->slots.end(), [](const Slot& slot) {
                                  return slot.payload == nullptr || slot.payload.use_count() == 1;
                                }));
  }
  return own;
}

size_t PageTable::memory_bytes() const {
  size_t bytes = runs_.capacity() * sizeof(WordRun);
  for (const auto& [number, ref] : leaves_) {
    size_t leaf = kSharedOverhead + sizeof(Leaf) + ref.leaf->slots.capacity() * sizeof(Slot);
    for (const Slot& slot : ref.leaf->slots) {
      if (slot.payload == nullptr) continue;
      leaf += (kSharedOverhead + sizeof(PackedChunk) + slot.payload->memory_bytes()) /
              static_cast<size_t>(slot.payload.use_count());
    }
    bytes += kNodeOverhead + sizeof(LeafRef) + leaf / static_cast<size_t>(ref.leaf.use_count());
  }
  return bytes;
}

}  // namespace memwhy::timeline
