// SPDX-License-Identifier: Apache-2.0
// What a mapping is by itself: its file, its name, its place and its neighbours. No page and no stack is
// looked at.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "events/event.h"
#include "explain/owner.h"

namespace memwhy::explain {

// TSan's layout for Go on linux/amd64, 48 bit addresses; the same from Go 1.19 to 1.27.
constexpr AddressRange kRaceShadow = {0x200000000000, 0x238000000000};
constexpr AddressRange kRaceMeta = {0x300000000000, 0x400000000000};
constexpr AddressRange kRaceGoHeap = {0x00c000000000, 0x00e000000000};  // TSan's own blocks never lie in it

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGlibcArenaBytes = 64 * kMiB;  // HEAP_MAX_SIZE: arenas are aligned to it

// Mappings of one list, with what the neighbours tell.
class Mappings {
 public:
  explicit Mappings(const std::vector<events::Vma>& vmas) : vmas_(vmas) {}

  bool private_anon(size_t i) const;
  // PROT_NONE and anonymous, ending where this mapping starts.
  bool guard_below(size_t i) const;
  // rw from a 64 MiB boundary on, then PROT_NONE to the next: malloc's arena of a thread.
  bool glibc_arena(size_t i) const;
  // Anonymous memory that continues the writable mapping of a file: .bss. Returns the file's mapping.
  const events::Vma* bss_of(size_t i) const;
  // Of a size that TSan's own allocator makes: how many quarters of it are resident at least if it is one. 0:
  // it is not. TSan fills its blocks; the tables of the Go runtime, with the same sizes, are sparse.
  uint64_t race_block_quarters(size_t i) const;

 private:
  const std::vector<events::Vma>& vmas_;
};

// The owner that a name of an anonymous mapping tells ("[anon: Go: heap]"); nullopt: none, or a name of the
// program's.
std::optional<Owner> owner_by_vma_name(std::string_view name);
// "/usr/lib/x.so (deleted)" → "/usr/lib/x.so"
std::string_view without_deleted(std::string_view path);

}  // namespace memwhy::explain
