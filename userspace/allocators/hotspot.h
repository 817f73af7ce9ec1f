// SPDX-License-Identifier: Apache-2.0
// HotSpot, the JVM of OpenJDK, read by the tables that it keeps for outside readers (hotspot_tables.h); tested with 11, 17, 21 and 25.
// The Java heap, the code cache and the metaspace. Not which objects are alive (used: as far as a space is filled, garbage
// included), and not what the VM has from malloc, which is the C heap's.
//
//   Universe::_collectedHeap ──► G1: regions of 1 MiB at 0xf0000000, 256 of them
//     region 0   bottom f0000000  top f00fffe0  end f0100000     used 1,048,544 B, free 32 B
//     region 1   bottom f0100000  top f0100000  end f0200000     free; resident if it was used before, and given back by few
//   CodeCache::_heaps        ──► 3 heaps of code, each with its committed range
//   ClassLoaderDataGraph     ──► classes: the 4 MiB around each, and around its constants, are metaspace
// Read: G1, Serial, Parallel, Shenandoah, Epsilon. Of ZGC, whose heap is shared memory that the kernel names, only the place.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "allocators/block_heap.h"
#include "allocators/hotspot_tables.h"

namespace memwhy::allocators {

bool is_hotspot(std::string_view path);

// What earlier readings found of the classes.
struct KnownClasses {
  std::set<uint64_t> windows;    // of metaspace, by number
  std::vector<uint64_t> newest;  // of each loader at the last whole reading, sorted
  uint32_t readings = 0;
};

class Hotspot final : public BlockReader {
 public:
  explicit Hotspot(FileBytes read_file) : read_file_(std::move(read_file)) {}

  const char* name() const override { return kHotspot; }
  const char* title() const override { return "HotSpot"; }
  bool find(HeapMemory& memory) override;
  Result<BlockTables> read(HeapMemory& memory) override;

 private:
  FileBytes read_file_;
  std::optional<HotspotTables> tables_;
  std::string file_;  // of the tables
  KnownClasses classes_;
};

}  // namespace memwhy::allocators
