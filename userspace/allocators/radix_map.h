// SPDX-License-Identifier: Apache-2.0
// The two-level tree in a module's .bss from a page's number to the descriptor of the memory that it is in, as jemalloc and
// gperftools' tcmalloc keep it: found by its content, and read whole.
//
//   page 0x7f124'0003 (4 KiB)   root[0x1fc49] ──► leaf, 2^18 words   leaf[0x00003] ──► descriptor { 7f12'40000000, 16 KiB, ... }
//   proof                       the descriptor is of mapped memory, and has the page of its place
//   leaves are stale by design: a word counts only while its descriptor covers its page
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "allocators/heap_memory.h"
#include "allocators/module_data.h"

namespace memwhy::allocators {

constexpr uint64_t kLeafBits = 18, kLeafBytes = 8 << kLeafBits;

struct Descriptor {
  uint64_t address = 0;
  std::array<uint64_t, 8> words{};
};

struct RadixKind {
  uint64_t page_shift, root_bits;
  size_t words;                               // of a descriptor that are read
  uint64_t (*descriptor)(uint64_t word);      // that a leaf's word names; 0: none
  AddressRange (*memory)(const Descriptor&);  // that it is of; empty: it can't be one

  uint64_t root_bytes() const { return uint64_t{8} << root_bits; }
};

// The root; nullopt: no module has such a tree.
std::optional<uint64_t> find_radix(HeapMemory& memory, const RadixKind& kind, const MayHold& may_hold = {});

struct RadixContents {
  std::vector<Descriptor> descriptors;  // each once
  std::vector<AddressRange> leaves;
  bool whole = true;  // false: the budget of the reading ended it
};
RadixContents read_radix(HeapMemory& memory, const RadixKind& kind, uint64_t root);

}  // namespace memwhy::allocators
