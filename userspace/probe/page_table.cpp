// SPDX-License-Identifier: Apache-2.0
#include "probe/page_table.h"

#include <algorithm>
#include <cstring>

namespace memwhy::probe {
namespace {

constexpr unsigned kChunkShift = 21;    // address bits within a chunk
constexpr unsigned kChunkKeyBits = 36;  // of the chunk's number; the space stands above
constexpr uint64_t kChunkNumber = (uint64_t{1} << kChunkKeyBits) - 1;

// A program that was interrupted between taking its tick and writing its entry writes an old tick. Chunks are
// read again for this long after their last fault (8 s at 250 Hz, 2 s at 1000 Hz); a later straggler waits
// for the next restatement.
constexpr int32_t kSlackTicks = 2000;

template <typename T>
T load(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_acquire);
}

SpaceId space_of(uint64_t key) { return SpaceId{static_cast<uint32_t>(key >> kChunkKeyBits)}; }

AddressRange range_of(uint64_t key) {
  const uint64_t start = (key & kChunkNumber) << kChunkShift;
  return {start, start + (uint64_t{1} << kChunkShift)};
}

bool overlaps(const std::vector<AddressRange>& mapped, AddressRange range) {
  const auto after = std::partition_point(mapped.begin(), mapped.end(),
                                          [&](const AddressRange& m) { return m.end <= range.start; });
  return after != mapped.end() && after->start < range.end;
}

}  // namespace

PageTable::PageTable(Shared shared, StackTable& stacks)
    : shared_(std::move(shared)), stacks_(stacks), chunks_(shared.chunks) {}

void PageTable::index(uint64_t claims) {
  if (indexed_claims_ == claims) return;
  indexed_claims_ = claims;
  index_.clear();
  for (uint32_t slot = 0; slot < shared_.chunks; ++slot) {
    const uint64_t key = load(shared_.keys[slot]);
    if (key > MW_SLOT_TOMB) index_.push_back({key, slot});
  }
  std::sort(index_.begin(), index_.end(), [](const Indexed& a, const Indexed& b) { return a.key < b.key; });
}

std::vector<PageTable::Indexed> PageTable::chunks_of(SpaceId space) const {
  const auto first = std::partition_point(index_.begin(), index_.end(),
                                          [&](const Indexed& at) { return space_of(at.key) < space; });
  const auto last =
      std::partition_point(first, index_.end(), [&](const Indexed& at) { return space_of(at.key) == space; });
  return {first, last};
}

void PageTable::read(SpaceId space, bool restate, uint64_t now_tick, uint64_t claims,
                     events::PageTableRuns& out, std::vector<events::Stack>& fresh) {
  index(claims);
  out.space = space;
  out.restated = restate;
  out.as_of_tick = now_tick;
  for (const Indexed& at : chunks_of(space)) {
    Chunk& chunk = chunks_[at.slot];
    const bool known = chunk.key == at.key;
    const uint32_t faulted = load(shared_.ticks[at.slot]);
    if (known && !restate &&
        static_cast<int32_t>(faulted + kSlackTicks - static_cast<uint32_t>(chunk.read_tick)) < 0)
      continue;
    if (!known) {
      chunk.key = at.key;
      if (!chunk.copy) chunk.copy = std::make_unique<mw_chunk>();
      *chunk.copy = {};
    }
    chunk.read_tick = now_tick;
    read_chunk(at, space, restate, out, fresh);
  }
}

void PageTable::read_chunk(const Indexed& at, SpaceId space, bool restate, events::PageTableRuns& out,
                           std::vector<events::Stack>& fresh) {
  mw_chunk& shared = shared_.table[at.slot];
  mw_chunk& copy = *chunks_[at.slot].copy;
  if (!restate && std::memcmp(&shared, &copy, sizeof copy) == 0) return;
  const PageNumber first = range_of(at.key).start >> kPageShift;
  for (uint32_t i = 0; i < MW_CHUNK_PAGES; ++i) {
    const uint64_t entry = std::atomic_ref<mw_u64>(shared.e[i]).load(std::memory_order_relaxed);
    if (entry == 0 || (!restate && entry == copy.e[i])) continue;
    const std::optional<StackId> stack =
        stacks_.resolve(static_cast<uint32_t>(entry >> MW_ENTRY_STACK_SHIFT), space, fresh);
    // A stack that is being written is told as unknown now, and by the next call as a change.
    copy.e[i] = stack ? entry : 0;
    const events::TableRun run{first + i, 1, stack.value_or(StackId::kNone), entry & MW_ENTRY_TICK_MASK,
                               static_cast<uint8_t>(entry >> MW_ENTRY_KIND_SHIFT & 0xf)};
    if (!out.runs.empty()) {
      events::TableRun& last = out.runs.back();
      if (last.page + last.count == run.page && last.stack == run.stack && last.tick == run.tick &&
          last.flags == run.flags) {
        ++last.count;
        continue;
      }
    }
    out.runs.push_back(run);
  }
}

void PageTable::condemn(SpaceId space, const std::vector<AddressRange>* mapped, uint64_t claims,
                        std::vector<uint32_t>& victims) {
  index(claims);
  for (const Indexed& at : chunks_of(space)) {
    Chunk& chunk = chunks_[at.slot];
    if (mapped) {
      if (overlaps(*mapped, range_of(at.key))) {
        chunk.doomed_key = 0;
        continue;
      }
      // A mapping may be younger than the list: only when two lists lack it, and nothing was faulted in
      // between.
      const uint32_t faulted = load(shared_.ticks[at.slot]);
      if (chunk.doomed_key != at.key || chunk.doomed_tick != faulted) {
        chunk.doomed_key = at.key;
        chunk.doomed_tick = faulted;
        continue;
      }
    } else {
      chunk.doomed_key = 0;
    }
    mw_u64 key = at.key;
    if (std::atomic_ref(shared_.keys[at.slot]).compare_exchange_strong(key, MW_SLOT_TOMB)) {
      chunk.owner = space;
      victims.push_back(at.slot);
    }
  }
}

void PageTable::bury(const std::vector<uint32_t>& victims) {
  for (const uint32_t slot : victims) {
    Chunk& chunk = chunks_[slot];
    std::atomic_ref key(shared_.keys[slot]);
    const bool faulted_meanwhile = chunk.doomed_key != 0 && load(shared_.ticks[slot]) != chunk.doomed_tick;
    const bool replaced = std::any_of(shared_.keys, shared_.keys + shared_.chunks, [&](mw_u64& other) {
      return faulted_meanwhile && load(other) == chunk.doomed_key;
    });
    if (faulted_meanwhile && !replaced) {
      key.store(chunk.doomed_key, std::memory_order_release);
      continue;
    }
    if (shared_.freed) shared_.freed(chunk.owner);
    chunk = {};
    std::memset(&shared_.table[slot], 0, sizeof(mw_chunk));
    shared_.ticks[slot] = 0;
    key.store(MW_SLOT_EMPTY, std::memory_order_release);
    freed_.fetch_add(1, std::memory_order_relaxed);
  }
  indexed_claims_.reset();
}

void PageTable::mark(std::vector<bool>& named) const {
  for (uint32_t slot = 0; slot < shared_.chunks; ++slot) {
    if (load(shared_.keys[slot]) == MW_SLOT_EMPTY) continue;
    for (mw_u64& word : shared_.table[slot].e) {
      const uint64_t entry = std::atomic_ref(word).load(std::memory_order_relaxed);
      const uint64_t stack = entry >> MW_ENTRY_STACK_SHIFT;
      if (entry != 0 && stack < named.size()) named[stack] = true;
    }
  }
}

}  // namespace memwhy::probe
