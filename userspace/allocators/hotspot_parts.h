// SPDX-License-Identifier: Apache-2.0
// The parts of a JVM, each read by its own file into blocks of one table: Java heap (hotspot_heap.cpp), code cache
// (hotspot_code.cpp) and classes (hotspot_classes.cpp). Not where the tables are (hotspot_tables.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "allocators/block_heap.h"
#include "allocators/hotspot.h"
#include "allocators/hotspot_tables.h"

namespace memwhy::allocators {

constexpr uint64_t kMostAddress = uint64_t{1} << 56;  // of a process, where page tables have five levels
constexpr uint64_t kClassWindow = uint64_t{4} << 20;  // metaspace is reserved in multiples of it

// Structs of a VM through its tables. What is missing, in the tables or in memory, is nothing.
class HotspotVm {
 public:
  using Names = std::initializer_list<std::string_view>;
  HotspotVm(HeapMemory& memory, const HotspotTables& tables) : memory_(memory), tables_(tables) {}

  std::optional<uint64_t> variable(Names names) { return load(tables_.address(names)); }
  std::optional<uint64_t> field(uint64_t object, Names names) { return load(place(object, names)); }
  std::optional<uint64_t> place(uint64_t object, Names names) const {
    const std::optional<uint64_t> offset = tables_.offset(names);
    if (object == 0 || !offset) return std::nullopt;
    return object + *offset;
  }
  bool is_set(std::string_view flag);  // of those that are yes or no
  std::optional<uint64_t> number(std::string_view flag) { return load(tables_.flag(flag)); }
  std::optional<uint64_t> load(std::optional<uint64_t> address) {
    uint64_t value = 0;
    if (!address || *address % 8 != 0 || !memory_.word(*address, value)) return std::nullopt;
    return value;
  }
  // VirtualSpace: what of it is committed.
  AddressRange committed(uint64_t virtual_space);

  HeapMemory& memory() { return memory_; }
  const HotspotTables& tables() const { return tables_; }

 private:
  HeapMemory& memory_;
  const HotspotTables& tables_;
};

// Each adds its blocks; "" or why something was not read.
std::string read_java_heap(HotspotVm& vm, BlockTables& out);
std::string read_code_cache(HotspotVm& vm, BlockTables& out);
std::string read_classes(HotspotVm& vm, KnownClasses& known, BlockTables& out);

}  // namespace memwhy::allocators
