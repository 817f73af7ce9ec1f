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

// Mappings without a gap between them, each as one. What a heap may have: its guards and its code too, but no file that is only
// read.
std::vector<AddressRange> memory_of(const std::vector<events::Vma>& vmas) {
  std::vector<AddressRange> out;
  for (const events::Vma& vma : vmas) {
    if (vma.inode != 0 && !vma.write) continue;
    if (!out.empty() && out.back().end == vma.range.start)
      out.back().end = vma.range.end;
    else
      out.push_back(vma.range);
  }
  return out;
}

// Tables lie, or are of another moment than the mappings.
void keep_mapped(const std::vector<events::Vma>& vmas, std::vector<Block>& blocks) {
  const std::vector<AddressRange> memory = memory_of(vmas);
  std::erase_if(blocks, [&](const Block& block) {
    const auto at = std::partition_point(memory.begin(), memory.end(), [&](const AddressRange& each) {
      return each.end <= block.range.start;
    });
    return at == memory.end() || at->start > block.range.start || at->end < block.range.end;
  });
}

}  // namespace

BlockHeap::BlockHeap(std::unique_ptr<BlockReader> reader, std::unique_ptr<remote::RemoteMemory> memory,
                     HeapMemory::Vmas vmas, ReadPace pace, Expected expected)
    : reader_(std::move(reader)),
      memory_(std::move(memory)),
      vmas_(std::move(vmas)),
      pace_(std::move(pace)),
      expected_(expected),
      first_ns_(now_ns()) {}

void BlockHeap::search(const std::vector<events::Vma>& vmas) {
  remote::Budget budget(expected_ == Expected::kYes ? kSearchLimits : kGlanceLimits, stop_);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, pace_);
  memory.refresh(vmas);
  found_ = reader_->find(memory);
  if (found_) passes_ = 0;
  if (!found_ && expected_ == Expected::kYes && budget.spent() != remote::Budget::Spent::kNothing &&
      !std::exchange(told_search_, true))
    notices_.push_back(
        fmt::format("Whether it has {} was not found out: the search takes more {} than one may.",
                    reader_->title(), budget.spent_name()));
}

void BlockHeap::tell_spent(const remote::Budget& budget) {
  if (budget.spent() != remote::Budget::Spent::kNothing && !std::exchange(told_, true))
    notices_.push_back(fmt::format("The heap of {} takes more {} than one reading may.", reader_->title(),
                                   budget.spent_name()));
}

void BlockHeap::read_tables(const std::vector<events::Vma>& vmas) {
  remote::Budget budget(kTablesLimits, stop_);
  remote::MeteredMemory metered(*memory_, budget);
  HeapMemory memory(metered, vmas_, pace_);
  memory.refresh(vmas);
  Result<BlockTables> tables = reader_->read(memory);
  tell_spent(budget);
  found_ = tables.ok();
  problem_ = found_ ? "" : tables.error().message();
  if (!found_) return;
  tables_ = *std::move(tables);
  keep_mapped(vmas, tables_->blocks);
  std::sort(tables_->blocks.begin(), tables_->blocks.end(),
            [](const Block& a, const Block& b) { return a.range < b.range; });
  read_ns_ = now_ns();
}

// The tables' content now; if they have moved since the last time, again after a search.
void BlockHeap::refresh() {
  for (int tries = 0; tries < 2; ++tries) {
    // It may begin to allocate long after it was met: passes 1, 2, 4, 8 and so on look for it, 1, 4, 16 of one that is not
    // expected.
    if (!found_ && (!std::has_single_bit(++passes_) ||
                    (expected_ == Expected::kNo && std::countr_zero(passes_) % 2 != 0)))
      return;
    const Result<std::vector<events::Vma>> vmas = vmas_();
    if (!vmas) return;
    if (!found_) search(*vmas);
    if (!found_) return;
    read_tables(*vmas);
    if (found_) return;
  }
}

// Tables of an earlier moment may name memory that was given back since, and is another's now.
void BlockHeap::drop_unmapped() {
  if (!tables_) return;
  const Result<std::vector<events::Vma>> vmas = vmas_();
  if (!vmas) return tables_.reset();
  keep_mapped(*vmas, tables_->blocks);
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
