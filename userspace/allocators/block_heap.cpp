// SPDX-License-Identifier: Apache-2.0
#include "allocators/block_heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "allocators/reading_cost.h"

namespace memwhy::allocators {
namespace {

constexpr remote::Limits kTablesLimits = {
    .read_bytes = 4096 * kMiB, .kept_bytes = 256 * kMiB, .cpu_ns = 1000 * kMs, .time_ns = 5000 * kMs};

}  // namespace

BlockHeap::BlockHeap(std::unique_ptr<BlockReader> reader, std::unique_ptr<remote::RemoteMemory> memory,
                     HeapMemory::Vmas vmas, ReadPace pace)
    : reader_(std::move(reader)),
      memory_(std::move(memory)),
      vmas_(std::move(vmas)),
      pace_(std::move(pace)),
      first_ns_(now_ns()) {}

void BlockHeap::search(HeapMemory& memory) {
  // It may begin to allocate long after it was met: passes 1, 2, 4, 8 and so on look for it.
  if (found_ || !std::has_single_bit(++passes_)) return;
  found_ = reader_->find(memory);
  if (found_) passes_ = 0;
}

// What the tables say now; where they are elsewhere than the last time, once more after a search.
void BlockHeap::refresh() {
  for (int tries = 0; tries < 2; ++tries) {
    remote::Budget for_search(kSearchLimits, stop_), for_tables(kTablesLimits, stop_);
    remote::MeteredMemory searched(*memory_, for_search), metered(*memory_, for_tables);
    HeapMemory search_memory(searched, vmas_, pace_), memory(metered, vmas_, pace_);
    if (!search_memory.refresh() || !memory.refresh()) return;
    search(search_memory);
    if (!found_) return;
    Result<BlockTables> tables = reader_->read(memory);
    if (for_tables.spent() != remote::Budget::Spent::kNothing && !std::exchange(told_, true))
      notices_.push_back(fmt::format("The heap of {} takes more {} than one reading may.", reader_->title(),
                                     for_tables.spent_name()));
    found_ = tables.ok();
    problem_ = found_ ? "" : tables.error().message();
    if (!found_) continue;
    tables_ = *std::move(tables);
    read_ns_ = now_ns();
    return;
  }
}

// Tables of an earlier moment may name memory that was given back since, and is another's now.
void BlockHeap::drop_unmapped() {
  remote::Budget budget(kTablesLimits, stop_);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, pace_);
  if (!tables_ || !memory.refresh()) return tables_.reset();
  std::erase_if(tables_->blocks, [&](const Block& block) {
    const AddressRange span = memory.span(block.range.start);
    return span.empty() || span.end < block.range.end;
  });
}

BlockReading BlockHeap::read(const events::PageScan& scan) {
  const CpuTime meter(cpu_ns_);
  BlockReading out;
  out.pages.space = scan.space;
  out.pages.scan = scan.scan;
  out.pages.runtime = reader_->name();
  out.pages.trust = events::Trust::kVerified;
  if (within_share(cpu_ns_, first_ns_)) {
    refresh();
    if (!found_) tables_.reset();
    if (!found_ && !problem_.empty()) {
      out.pages.trust = events::Trust::kUnverified;
      out.pages.problem = problem_;
    }
  } else {
    drop_unmapped();
  }
  if (!tables_) return out;
  events::AllocatorHeap heap;
  heap.space = scan.space;
  heap.scan = scan.scan;
  heap.allocator = reader_->name();
  heap.age_ns = now_ns() - read_ns_;
  out.pages.uses.assign(kBlockUses.begin(), kBlockUses.end());
  out.pages.runs = join_blocks(*tables_, scan.runs, heap);
  out.heap = std::move(heap);
  return out;
}

}  // namespace memwhy::allocators
