// SPDX-License-Identifier: Apache-2.0
// The Java heap of each collector, as spaces: from `bottom` up to `top` it is filled, from there to `end` it is free.
#include <algorithm>
#include <array>

#include "allocators/hotspot_parts.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {
namespace {

constexpr uint64_t kMostRegions = 1 << 16, kLeastRegion = 64 << 10, kMostRegion = uint64_t{1} << 32;
constexpr uint64_t kMostSpace = uint64_t{1} << 44;  // 16 TiB, which no collector exceeds

struct Space {
  uint64_t bottom = 0, top = 0, end = 0;
  bool holds() const {
    return bottom % 8 == 0 && bottom <= top && top <= end && end <= kMostAddress &&
           end - bottom <= kMostSpace;
  }
};

// false: there is no room for it.
bool add_space(HotspotVm& vm, const Space& space, BlockTables& out) {
  if (!vm.memory().keep(2 * sizeof(Block))) return false;
  const uint64_t filled = std::min(round_up(space.top, kPageBytes), space.end);
  if (filled > space.bottom)
    out.blocks.push_back({{space.bottom, filled}, BlockUse::kObjects, false, space.top - space.bottom});
  if (space.end > filled) out.blocks.push_back({{filled, space.end}, BlockUse::kFree, false, 0});
  return true;
}

struct SpaceFields {
  HotspotVm::Names bottom, top, end;
};

// A space of its own: Serial, Parallel, Epsilon.
bool read_space(HotspotVm& vm, std::optional<uint64_t> at, const SpaceFields& fields, BlockTables& out) {
  const auto bottom = vm.field(at.value_or(0), fields.bottom), top = vm.field(at.value_or(0), fields.top),
             end = vm.field(at.value_or(0), fields.end);
  if (!bottom || !top || !end) return false;
  const Space space{*bottom, *top, *end};
  return space.holds() && add_space(vm, space, out);
}
constexpr std::string_view kUnreadSpace = "a space of the Java heap is not as memwhy knows it";

std::string read_serial(HotspotVm& vm, uint64_t heap, BlockTables& out) {
  static const SpaceFields kFields = {{"ContiguousSpace::_bottom", "Space::_bottom"},
                                      {"ContiguousSpace::_top"},
                                      {"ContiguousSpace::_end", "Space::_end"}};
  const uint64_t young =
                     vm.field(heap, {"SerialHeap::_young_gen", "GenCollectedHeap::_young_gen"}).value_or(0),
                 old = vm.field(heap, {"SerialHeap::_old_gen", "GenCollectedHeap::_old_gen"}).value_or(0);
  for (const auto& space :
       {vm.field(young, {"DefNewGeneration::_eden_space"}),
        vm.field(young, {"DefNewGeneration::_from_space"}), vm.field(young, {"DefNewGeneration::_to_space"}),
        vm.field(old, {"TenuredGeneration::_the_space"})})
    if (!read_space(vm, space, kFields, out)) return std::string(kUnreadSpace);
  return "";
}

std::string read_parallel(HotspotVm& vm, uint64_t /*heap*/, BlockTables& out) {
  static const SpaceFields kFields = {{"MutableSpace::_bottom", "ImmutableSpace::_bottom"},
                                      {"MutableSpace::_top"},
                                      {"MutableSpace::_end", "ImmutableSpace::_end"}};
  const uint64_t young = vm.variable({"ParallelScavengeHeap::_young_gen"}).value_or(0),
                 old = vm.variable({"ParallelScavengeHeap::_old_gen"}).value_or(0);
  for (const auto& space :
       {vm.field(young, {"PSYoungGen::_eden_space"}), vm.field(young, {"PSYoungGen::_from_space"}),
        vm.field(young, {"PSYoungGen::_to_space"}), vm.field(old, {"PSOldGen::_object_space"})})
    if (!read_space(vm, space, kFields, out)) return std::string(kUnreadSpace);
  return "";
}

std::string read_epsilon(HotspotVm& vm, uint64_t heap, BlockTables& out) {
  static const SpaceFields kFields = {{"ContiguousSpace::_bottom", "Space::_bottom"},
                                      {"ContiguousSpace::_top"},
                                      {"ContiguousSpace::_end", "Space::_end"}};
  return read_space(vm, vm.field(heap, {"EpsilonHeap::_space"}), kFields, out) ? ""
                                                                               : std::string(kUnreadSpace);
}

// Where the regions of a collector are, and their fields in them.
struct Regions {
  std::optional<uint64_t> table, count, bytes;
  std::optional<uint64_t> bottom, top, end;
};

bool read_words(HotspotVm& vm, uint64_t at, std::vector<uint64_t>& words) {
  remote::Piece piece{at, std::as_writable_bytes(std::span(words)), true, false};
  return vm.memory().read_each({&piece, 1}) && piece.there;
}

// Regions lie side by side, the same size each, and a pointer of 0 is one that was never committed.
std::string read_regions(HotspotVm& vm, const Regions& regions, BlockTables& out) {
  constexpr size_t kMostRecord = 256;
  if (!regions.table || !regions.count || !regions.bytes || !regions.bottom || !regions.top || !regions.end)
    return "the regions of the Java heap are not where memwhy knows them";
  const uint64_t fields_end = std::max({*regions.bottom, *regions.top, *regions.end}) + 8;
  if (*regions.count == 0 || *regions.count > kMostRegions || *regions.bytes < kLeastRegion ||
      *regions.bytes > kMostRegion || *regions.bytes % kPageBytes != 0 || fields_end > kMostRecord)
    return "the regions of the Java heap are not as memwhy knows them";
  if (!vm.memory().keep(*regions.count * (8 + sizeof(std::array<std::byte, kMostRecord>))))
    return "there are more regions than one reading may keep";
  std::vector<uint64_t> pointers(*regions.count);
  if (!read_words(vm, *regions.table, pointers)) return "the table of regions could not be read";
  std::vector<std::array<std::byte, kMostRecord>> records(pointers.size());
  std::vector<remote::Piece> pieces;
  for (size_t i = 0; i < pointers.size(); ++i)
    if (pointers[i] != 0)
      pieces.push_back({pointers[i], std::span(records[i]).first(fields_end), false, false});
  const bool all = vm.memory().read_each(pieces);
  size_t good = 0, bad = 0;
  for (size_t i = 0, piece = 0; i < pointers.size(); ++i) {
    if (pointers[i] == 0 || !pieces[piece++].there) continue;
    const auto at = [&](uint64_t offset) {
      uint64_t value = 0;
      std::memcpy(&value, records[i].data() + offset, sizeof value);
      return value;
    };
    const Space space{at(*regions.bottom), at(*regions.top), at(*regions.end)};
    const bool is = space.holds() && space.bottom % *regions.bytes == 0 &&
                    space.end - space.bottom == *regions.bytes && vm.memory().step();
    ++(is && add_space(vm, space, out) ? good : bad);
  }
  out.arenas = good;
  return all && bad == 0 ? "" : "some regions of the Java heap were not read";
}

std::string read_g1(HotspotVm& vm, uint64_t heap, BlockTables& out) {
  const auto manager = vm.place(heap, {"G1CollectedHeap::_hrm"});
  const auto table =
      vm.place(manager.value_or(0), {"G1HeapRegionManager::_regions", "HeapRegionManager::_regions"});
  const HotspotTables& tables = vm.tables();
  return read_regions(vm,
                      {vm.field(table.value_or(0), {"G1HeapRegionTable::_base"}),
                       vm.field(table.value_or(0), {"G1HeapRegionTable::_length"}),
                       vm.variable({"G1HeapRegion::GrainBytes", "HeapRegion::GrainBytes"}),
                       tables.offset({"G1HeapRegion::_bottom", "HeapRegion::_bottom", "Space::_bottom"}),
                       tables.offset({"G1HeapRegion::_top", "HeapRegion::_top", "G1ContiguousSpace::_top"}),
                       tables.offset({"G1HeapRegion::_end", "HeapRegion::_end", "Space::_end"})},
                      out);
}

std::string read_shenandoah(HotspotVm& vm, uint64_t heap, BlockTables& out) {
  const HotspotTables& tables = vm.tables();
  return read_regions(
      vm,
      {vm.field(heap, {"ShenandoahHeap::_regions"}), vm.field(heap, {"ShenandoahHeap::_num_regions"}),
       vm.variable({"ShenandoahHeapRegion::RegionSizeBytes"}),
       tables.offset({"ShenandoahHeapRegion::_bottom"}), tables.offset({"ShenandoahHeapRegion::_top"}),
       tables.offset({"ShenandoahHeapRegion::_end"})},
      out);
}

// Its heap is a file in memory that the kernel names: where it is mapped is known, what of it is in use is not. Before Java 21
// (and later with -XX:-ZGenerational) each page is mapped in three views, and RSS counts it in each where it was touched.
//
//   40000400000-40008c00000 rw-s 00000000 /memfd:java_heap     80000400000-80008c00000 rw-s 00000000 /memfd:java_heap   ...
std::string read_z(HotspotVm& vm, uint64_t /*heap*/, BlockTables& out) {
  constexpr uint64_t kMostBlocks = 1 << 16;
  uint64_t mapped = 0, end = 0, start = UINT64_MAX;
  for (const events::Vma& vma : vm.memory().vmas()) {
    if (vma.name.find("java_heap") == std::string::npos || !vma.shared) continue;
    if (out.blocks.size() >= kMostBlocks || !vm.memory().keep(2 * sizeof(Block))) break;
    out.blocks.push_back({vma.range, BlockUse::kUnread, false, 0});
    mapped += vma.range.bytes();
    start = std::min(start, vma.offset);
    end = std::max(end, vma.offset + vma.range.bytes());
  }
  std::string problem = "what of the Java heap of ZGC is in use is not read";
  if (end > start && mapped >= 2 * (end - start))
    problem += "; it is mapped in several views, and RSS counts a page once for each in which it was touched";
  return problem;
}

struct Collector {
  const char *flag, *name;
  std::string (*read)(HotspotVm& vm, uint64_t heap, BlockTables& out);
};
constexpr Collector kCollectors[] = {
    {"UseG1GC", "G1", read_g1},
    {"UseSerialGC", "Serial", read_serial},
    {"UseParallelGC", "Parallel", read_parallel},
    {"UseShenandoahGC", "Shenandoah", read_shenandoah},
    {"UseEpsilonGC", "Epsilon", read_epsilon},
    {"UseZGC", "ZGC", read_z},
};

}  // namespace

std::string read_java_heap(HotspotVm& vm, BlockTables& out) {
  const auto* const collector = std::find_if(std::begin(kCollectors), std::end(kCollectors),
                                             [&](const Collector& each) { return vm.is_set(each.flag); });
  if (collector == std::end(kCollectors)) return "the collector of the Java heap is none that memwhy knows";
  out.collector = collector->name;
  out.pretouched = vm.is_set("AlwaysPreTouch");
  out.collection_interval_ms = vm.number("G1PeriodicGCInterval").value_or(0);
  const uint64_t heap = vm.variable({"Universe::_collectedHeap"}).value_or(0);
  uint32_t collections = 0;
  const auto count = vm.place(heap, {"CollectedHeap::_total_collections"});
  if (count && vm.memory().get(*count, collections)) out.collections = collections;
  return collector->read(vm, heap, out);
}

}  // namespace memwhy::allocators
