// SPDX-License-Identifier: Apache-2.0
// The tables in which HotSpot (OpenJDK's libjvm.so) describes itself to outside readers (the serviceability agent): where each
// variable and field of the VM is. Found by content, without symbols. What the fields mean: hotspot.h.
//
//   gHotSpotVMStructs, words of libjvm's .data, 48 bytes an entry
//     { "Universe",   "_collectedHeap", "CollectedHeap*", static 1, offset 0,  address 7f55'9976'2c88 }
//     { "HeapRegion", "_top",           "HeapWord*",      static 0, offset 16, address 0 }
//     { "JVMFlag",    "flags",          "JVMFlag*",       static 1, ... }  ─► { &UseG1GC, "UseG1GC", flags, type } x 1,400
// The names are text of the file and not resident in most processes: they are read from the file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "allocators/heap_memory.h"

namespace memwhy::allocators {

// Bytes of the file that a mapping shows at an address; fewer, or none: they can't be had.
using FileBytes =
    std::function<std::vector<std::byte>(const events::Vma& vma, uint64_t address, size_t bytes)>;

class HotspotTables {
 public:
  // nullopt: the file of these variables has no such table, or its names could not be read.
  static std::optional<HotspotTables> find(HeapMemory& memory, const AddressRange& data,
                                           std::string_view file, const FileBytes& read_file);

  // Of a field in its struct; of a static one its address. The first existing one of several names: releases rename.
  std::optional<uint64_t> offset(std::initializer_list<std::string_view> names) const;
  std::optional<uint64_t> address(std::initializer_list<std::string_view> names) const;
  // Where the value of a flag of the command line is.
  std::optional<uint64_t> flag(std::string_view name) const;

  // Not read by find(). There always are some; none: they were not read yet, or the reading had no time left for them.
  bool has_flags() const { return !flags_.empty(); }
  void read_flags(HeapMemory& memory, std::string_view file, const FileBytes& read_file);

  size_t fields() const { return fields_.size(); }

 private:
  struct Field {
    bool is_static = false;
    uint64_t at = 0;  // offset or address
  };
  const Field* find_field(std::initializer_list<std::string_view> names, bool is_static) const;

  // Sorted trees: a file that a target brings chooses the names.
  std::map<std::string, Field, std::less<>> fields_;  // "HeapRegion::_top"
  std::map<std::string, uint64_t, std::less<>> flags_;
};

}  // namespace memwhy::allocators
