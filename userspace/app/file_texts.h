// SPDX-License-Identifier: Apache-2.0
// FileTexts: which files of processes have the texts of an allocator in them, as a program has that it is linked into, stripped
// or not. Each file is read once, whichever processes map it.
//
//   /usr/bin/redis-server   r--p 0x1a2000 …   "<jemalloc>: Error in …"    kJemalloc
//   libpython3.11.so.1.0    r--p 0x2e5000 …                               neither: no process that maps it is searched for them
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "symbols/binaries.h"

namespace memwhy::app {

class FileTexts {
 public:
  enum Text : uint8_t { kJemalloc = 1, kTcmalloc = 2 };

  // `binaries` must outlive it.
  explicit FileTexts(symbols::Binaries& binaries) : binaries_(binaries) {}

  // Whether the file of `of` has the text in what the process maps of it and cannot write. nullopt: it is not known, as of what
  // can't be opened or is too large.
  std::optional<bool> has(Pid tgid, const std::vector<events::Vma>& vmas, const events::Vma& of, Text text);

 private:
  std::optional<uint8_t> search(const symbols::OpenedBinary& file, const std::vector<events::Vma>& vmas,
                                const events::Vma& of);

  symbols::Binaries& binaries_;
  std::unordered_map<symbols::FileKey, std::optional<uint8_t>, symbols::FileKeyHash> known_;  // of Text
};

}  // namespace memwhy::app
