// SPDX-License-Identifier: Apache-2.0
#include "probe/table_reader.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

// A program that was interrupted between taking its tick and writing its entry writes an old tick. Chunks are
// read again for this long after their last fault (8 s at 250 Hz, 2 s at 1000 Hz); a later straggler waits
// for the next restatement.
constexpr int32_t kSlackTicks = 2000;

bool overlaps(const std::vector<AddressRange>& mapped, AddressRange range) {
  const auto after = std::partition_point(mapped.begin(), mapped.end(),
                                          [&](const AddressRange& m) { return m.end <= range.start; });
  return after != mapped.end() && after->start < range.end;
}

}  // namespace

TableReader::TableReader(PageTable& pages, uint32_t port)
    : pages_(pages), port_(port), chunks_(pages.shared().chunks) {}

void TableReader::read(SpaceId space, bool restate, uint64_t now_tick, uint64_t claims,
                       events::PageTableRuns& out, std::vector<events::Stack>& fresh) {
  out.space = space;
  out.restated = restate;
  out.as_of_tick = now_tick;
  spaces_.insert(space);
  for (const PageTable::Indexed& at : pages_.chunks_of(space, claims)) {
    Chunk& chunk = chunks_[at.slot];
    const bool known = chunk.key == at.key;
    const uint32_t faulted = acquire(pages_.shared().ticks[at.slot]);
    if (known && !restate &&
        static_cast<int32_t>(faulted + kSlackTicks - static_cast<uint32_t>(chunk.read_tick)) < 0)
      continue;
    if (!known) {
      if (!chunk.copy) ++copies_;
      chunk = {at.key, std::make_unique<mw_chunk>(), 0, 0, 0};
    }
    chunk.read_tick = now_tick;
    read_chunk(at, restate, out, fresh);
  }
}

void TableReader::read_chunk(const PageTable::Indexed& at, bool restate, events::PageTableRuns& out,
                             std::vector<events::Stack>& fresh) {
  mw_chunk& shared = pages_.shared().table[at.slot];
  mw_chunk& copy = *chunks_[at.slot].copy;
  if (!restate && std::memcmp(&shared, &copy, sizeof copy) == 0) return;
  const PageNumber first = chunk_range(at.key).start >> kPageShift;
  for (uint32_t i = 0; i < MW_CHUNK_PAGES; ++i) {
    const uint64_t entry = std::atomic_ref<mw_u64>(shared.e[i]).load(std::memory_order_relaxed);
    if (entry == 0 || (!restate && entry == copy.e[i])) continue;
    const std::optional<StackId> stack = pages_.stacks().resolve(
        static_cast<uint32_t>(entry >> MW_ENTRY_STACK_SHIFT), {out.space, port_}, fresh);
    // A stack that is being written is given as unknown now, and by the next call as a change.
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

void TableReader::condemn(SpaceId space, const std::vector<AddressRange>& mapped, uint64_t claims,
                          std::vector<PageTable::Victim>& victims) {
  spaces_.insert(space);
  for (const PageTable::Indexed& at : pages_.chunks_of(space, claims)) {
    Chunk& chunk = chunks_[at.slot];
    if (overlaps(mapped, chunk_range(at.key))) {
      chunk.doomed_key = 0;
      continue;
    }
    // A mapping may be younger than the list: only if two lists lack it, and nothing was faulted in between.
    const uint32_t faulted = acquire(pages_.shared().ticks[at.slot]);
    if (chunk.doomed_key != at.key || chunk.doomed_tick != faulted) {
      chunk.doomed_key = at.key;
      chunk.doomed_tick = faulted;
      continue;
    }
    if (pages_.condemn({at.slot, space, at.key, faulted}, victims)) {
      copies_ -= chunk.copy ? 1 : 0;
      chunk = {};
    }
  }
}

void TableReader::forget(SpaceId space) {
  if (spaces_.erase(space) == 0) return;
  for (Chunk& chunk : chunks_) {
    if (space_of_chunk(chunk.key ? chunk.key : chunk.doomed_key) != space) continue;
    copies_ -= chunk.copy ? 1 : 0;
    chunk = {};
  }
}

}  // namespace memwhy::probe
