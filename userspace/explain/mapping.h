// SPDX-License-Identifier: Apache-2.0
// What a mapping is, judged by its file, its name, its place and its neighbours. Pages and stacks are not
// considered.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "events/event.h"
#include "explain/owner.h"
#include "explain/race_layout.h"

namespace memwhy::explain {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGlibcArenaBytes = 64 * kMiB;  // HEAP_MAX_SIZE: arenas are aligned to it

// Mappings of one list, with what their neighbours reveal.
class Mappings {
 public:
  explicit Mappings(const std::vector<events::Vma>& vmas);

  bool private_anon(size_t i) const;
  // PROT_NONE and anonymous, ending where this mapping starts.
  bool guard_below(size_t i) const;
  // rw from a 64 MiB boundary on, then PROT_NONE to the next: malloc's arena of a thread.
  bool glibc_arena(size_t i) const;
  // Anonymous memory that continues the writable mapping of a file: .bss. Returns the file's mapping.
  const events::Vma* bss_of(size_t i) const;
  // Whether code of the same file is mapped: what else is mapped of it are a program's or a library's variables.
  bool of_program(const events::Vma& vma) const;
  // Of a size that TSan's own allocator makes: how many quarters of it are resident at least if it is one. 0:
  // it is not. TSan fills its blocks; the tables of the Go runtime, with the same sizes, are sparse.
  uint64_t race_block_quarters(size_t i, const RaceLayout& layout) const;

 private:
  const std::vector<events::Vma>& vmas_;
  std::vector<std::pair<uint64_t, uint64_t>> programs_;  // device and inode of files with code, sorted
};

// The owner that the name of an anonymous mapping implies ("[anon: Go: heap]"); nullopt: none, or a name of the
// program's.
std::optional<Owner> owner_by_vma_name(std::string_view name);
// "/usr/lib/x.so (deleted)" → "/usr/lib/x.so"
std::string_view without_deleted(std::string_view path);

}  // namespace memwhy::explain
