// SPDX-License-Identifier: Apache-2.0
#include "probe/page_table.h"

#include <algorithm>
#include <cstring>

#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

constexpr unsigned kChunkShift = 21;    // address bits within a chunk
constexpr unsigned kChunkKeyBits = 36;  // of the chunk's number; the space is above
constexpr uint64_t kChunkNumber = (uint64_t{1} << kChunkKeyBits) - 1;

}  // namespace

SpaceId space_of_chunk(uint64_t key) { return SpaceId{static_cast<uint32_t>(key >> kChunkKeyBits)}; }

AddressRange chunk_range(uint64_t key) {
  const uint64_t start = (key & kChunkNumber) << kChunkShift;
  return {start, start + (uint64_t{1} << kChunkShift)};
}

PageTable::PageTable(Shared shared, StackTable& stacks) : shared_(std::move(shared)), stacks_(stacks) {}

void PageTable::index(uint64_t claims) {
  if (indexed_claims_ == claims) return;
  indexed_claims_ = claims;
  index_.clear();
  for (uint32_t slot = 0; slot < shared_.chunks; ++slot) {
    const uint64_t key = acquire(shared_.keys[slot]);
    if (key > MW_SLOT_TOMB) index_.push_back({key, slot});
  }
  std::sort(index_.begin(), index_.end(), [](const Indexed& a, const Indexed& b) { return a.key < b.key; });
}

std::vector<PageTable::Indexed> PageTable::chunks_of(SpaceId space, uint64_t claims) {
  index(claims);
  const auto first = std::partition_point(index_.begin(), index_.end(),
                                          [&](const Indexed& at) { return space_of_chunk(at.key) < space; });
  const auto last = std::partition_point(first, index_.end(),
                                         [&](const Indexed& at) { return space_of_chunk(at.key) == space; });
  return {first, last};
}

bool PageTable::condemn(Victim victim, std::vector<Victim>& victims) {
  mw_u64 key = victim.key;
  if (!std::atomic_ref(shared_.keys[victim.slot]).compare_exchange_strong(key, MW_SLOT_TOMB)) return false;
  victims.push_back(victim);
  return true;
}

// Of a space that has ended: whatever was faulted there since is not needed.
void PageTable::condemn_all(SpaceId space, uint64_t claims, std::vector<Victim>& victims) {
  for (const Indexed& at : chunks_of(space, claims))
    if (condemn({at.slot, space, at.key, 0}, victims)) victims.back().key = 0;
}

void PageTable::bury(const std::vector<Victim>& victims) {
  for (const Victim& victim : victims) {
    std::atomic_ref key(shared_.keys[victim.slot]);
    const bool faulted_since = victim.key != 0 && acquire(shared_.ticks[victim.slot]) != victim.tick;
    const bool replaced = std::any_of(shared_.keys, shared_.keys + shared_.chunks, [&](mw_u64& other) {
      return faulted_since && acquire(other) == victim.key;
    });
    if (faulted_since && !replaced) {
      key.store(victim.key, std::memory_order_release);
      continue;
    }
    if (shared_.freed) shared_.freed(victim.owner);
    std::memset(&shared_.table[victim.slot], 0, sizeof(mw_chunk));
    shared_.ticks[victim.slot] = 0;
    key.store(MW_SLOT_EMPTY, std::memory_order_release);
    freed_.fetch_add(1, std::memory_order_relaxed);
  }
  indexed_claims_.reset();
}

void PageTable::mark(std::vector<bool>& named) const {
  for (uint32_t slot = 0; slot < shared_.chunks; ++slot) {
    if (acquire(shared_.keys[slot]) == MW_SLOT_EMPTY) continue;
    for (mw_u64& word : shared_.table[slot].e) {
      const uint64_t entry = std::atomic_ref(word).load(std::memory_order_relaxed);
      const uint64_t stack = entry >> MW_ENTRY_STACK_SHIFT;
      if (entry != 0 && stack < named.size()) named[stack] = true;
    }
  }
}

}  // namespace memwhy::probe
