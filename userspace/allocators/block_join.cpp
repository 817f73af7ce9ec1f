// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "allocators/block_heap.h"
#include "allocators/resident.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kMostPages = UINT32_MAX;  // of a run

// Blocks side by side with the same use are one run: there may be a million pools.
void append(std::vector<events::RuntimeRun>& runs, const events::RuntimeRun& run) {
  if (!runs.empty()) {
    events::RuntimeRun& last = runs.back();
    if (last.use == run.use && last.page + last.count == run.page && last.count <= kMostPages - run.count) {
      last.count += run.count;
      last.live_bytes += run.live_bytes;
      last.free_bytes += run.free_bytes;
      return;
    }
  }
  runs.push_back(run);
}

}  // namespace

std::vector<events::RuntimeRun> join_blocks(const BlockTables& tables,
                                            std::span<const events::ScanRun> resident,
                                            events::AllocatorHeap& heap) {
  std::vector<events::RuntimeRun> runs;
  HugeParts parts;
  PageNumber claimed = 0;
  for (const Block& block : tables.blocks) {
    PageRange pages = pages_touched(block.range);
    pages.start = std::max(pages.start, claimed);  // a page that two blocks share is the first one's
    if (block.use == BlockUse::kObjects) pages.end = std::min(pages.end, pages.start + kMostPages);
    if (pages.empty()) continue;
    claimed = pages.end;
    heap.system_bytes += pages.pages() * kPageBytes;
    uint64_t there = 0;
    each_resident(resident, pages.start, pages.end, [&](PageNumber page, bool huge) {
      there += kPageBytes;
      if (block.use == BlockUse::kFree && block.returnable && huge) parts.dropped(page);
    });
    events::RuntimeRun run;
    run.use = static_cast<uint8_t>(block.use);
    if (block.use == BlockUse::kObjects) {
      run.live_bytes = std::min(block.used_bytes, there);
      run.free_bytes = there - run.live_bytes;
      heap.used_bytes += run.live_bytes;
      heap.pinned_bytes += run.free_bytes;
    } else if (block.use == BlockUse::kFree) {
      (block.returnable ? heap.trimmable_bytes : heap.top_bytes) += there;
    }
    for (run.page = pages.start; run.page < pages.end; run.page += run.count) {  // a shadow has 19 TiB
      run.count = static_cast<uint32_t>(std::min(pages.end - run.page, kMostPages));
      append(runs, run);
    }
  }
  heap.trimmable_huge_bytes += parts.finish();
  heap.arenas = tables.arenas;
  heap.caches = tables.caches;
  heap.unknown_bytes = tables.unknown_bytes;
  heap.problem = tables.problem;
  heap.collector = tables.collector;
  heap.collections = tables.collections;
  heap.collection_interval_ms = tables.collection_interval_ms;
  heap.pretouched = tables.pretouched;
  heap.cached_bytes = std::min(tables.cached_bytes, heap.pinned_bytes);
  heap.pinned_bytes -= heap.cached_bytes;
  return runs;
}

}  // namespace memwhy::allocators
