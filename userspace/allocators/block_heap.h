// SPDX-License-Identifier: Apache-2.0
// Allocators other than glibc: for each a BlockReader, which finds its tables and reads them as blocks, and one BlockHeap,
// which does what is the same for all of them: budgets, the cost of a reading, the join with resident pages.
// Another allocator is one BlockReader and its lines (events/runtime_lines.h); it never sees a page scan.
//
//   what the tables say   Block 7f12'40000000 +16 KiB objects, 4,816 B in use        Block 7f12'40004000 +1 MiB free, returnable
//   resident              page 0, 1, 3                                               200 pages
//   so                    used 4,816 B, free 7,472 B (pinned)                        free 800 KiB (a call returns them)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "allocators/block_lines.h"
#include "allocators/heap_memory.h"
#include "events/event.h"
#include "remote/budget.h"
#include "remote/memory.h"

namespace memwhy::allocators {

struct Block {
  AddressRange range;
  BlockUse use = BlockUse::kObjects;
  bool returnable = false;  // of kFree: a call gives back its whole pages
  uint64_t used_bytes = 0;  // of kObjects
};

// The tables' content at one moment.
struct BlockTables {
  std::vector<Block> blocks;  // in any order; what overlaps an earlier one (by address) is cut
  uint64_t arenas = 0;
  uint64_t caches = 0, cached_bytes = 0;  // in caches of threads: not part of used_bytes
  uint64_t unknown_bytes = 0;             // that count as used
  std::string problem;                    // why something was not read
  // Of a managed heap.
  std::string collector;  // "G1"
  uint64_t collections = 0, collection_interval_ms = 0;
  bool pretouched = false;
};

class BlockReader {
 public:
  virtual ~BlockReader() = default;
  virtual const char* name() const = 0;   // as in RuntimePages: "pymalloc"
  virtual const char* title() const = 0;  // in sentences: "CPython"
  // Whether the process has it: its tables found, and in agreement with themselves. What ends it too early is the budget of
  // `memory` and nothing else, so that false with a budget that is used up means: unknown.
  virtual bool find(HeapMemory& memory) = 0;
  // kDamaged: they are not where they were, so find() comes again.
  virtual Result<BlockTables> read(HeapMemory& memory) = 0;
};

struct BlockReading {
  events::RuntimePages pages;
  std::optional<events::AllocatorHeap> heap;  // nothing: the process does not use it
};

// Joins tables, their blocks in order of address, with the pages that are resident; `heap` gets the sums.
std::vector<events::RuntimeRun> join_blocks(const BlockTables& tables,
                                            std::span<const events::ScanRun> resident,
                                            events::AllocatorHeap& heap);

// Whether a library of it is mapped. Otherwise it may be linked into the program: a glance finds it, or it is not reported.
enum class Expected : bool { kNo, kYes };

class BlockHeap {
 public:
  BlockHeap(std::unique_ptr<BlockReader> reader, std::unique_ptr<remote::RemoteMemory> memory,
            HeapMemory::Vmas vmas, ReadPace pace, Expected expected = Expected::kYes);

  BlockReading read(const events::PageScan& scan);
  const char* name() const { return reader_->name(); }
  const char* title() const { return reader_->title(); }
  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }

 private:
  void search(const std::vector<events::Vma>& vmas);
  void read_tables(const std::vector<events::Vma>& vmas);
  void drop_unmapped();
  void refresh();
  void tell_spent(const remote::Budget& budget);

  std::unique_ptr<BlockReader> reader_;
  std::unique_ptr<remote::RemoteMemory> memory_;
  HeapMemory::Vmas vmas_;
  ReadPace pace_;
  Expected expected_;
  std::function<bool()> stop_;
  std::optional<BlockTables> tables_;  // of the last reading; nothing: not found
  uint32_t passes_ = 0;                // without it
  bool found_ = false, told_ = false, told_search_ = false;
  std::string problem_;  // of the last reading that failed
  uint64_t cpu_ns_ = 0, first_ns_ = 0, read_ns_ = 0;
  std::vector<std::string> notices_;
};

}  // namespace memwhy::allocators
