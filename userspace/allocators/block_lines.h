// SPDX-License-Identifier: Apache-2.0
// What pages of allocators other than glibc are in the ledger: their registration with explain/ (events/runtime_lines.h). Those
// behind malloc share the lines of any C heap, which are built in. Not those of glibc (glibc_lines.h), and not how sentences
// speak of them (explain/allocator_words.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "events/runtime_lines.h"

namespace memwhy::allocators {

inline constexpr const char *kPymalloc = "pymalloc", *kJemalloc = "jemalloc", *kTcmalloc = "tcmalloc",
                            *kMimalloc = "mimalloc", *kMusl = "musl", *kSanitizer = "sanitizer";

enum class BlockUse : uint8_t {
  kObjects,  // some of it in use, the rest free beside it
  kTables,   // the allocator's own
  kFree,     // nothing of it is in use
  kUnread,
};
constexpr std::array<const char*, 4> kBlockUses = {"objects", "tables", "free", "unread"};

struct BlockOwners {
  std::string used = "c.heap.used", free = "c.heap.free", unread = "c.heap.unclassified";
};

inline events::RuntimeLines block_lines(const char* runtime, const BlockOwners& owners = {},
                                        std::vector<events::RuntimeOwner> added = {}) {
  const auto use = [](BlockUse of) { return kBlockUses[static_cast<size_t>(of)]; };
  return {runtime,
          std::move(added),
          {{use(BlockUse::kObjects), owners.used,
            events::SlotOwners{owners.free, owners.free, owners.unread, "blocks", false}},
           {use(BlockUse::kTables), owners.used},
           {use(BlockUse::kFree), owners.free},
           {use(BlockUse::kUnread), owners.unread}},
          owners.unread};
}

inline events::RuntimeLines jemalloc_lines() { return block_lines(kJemalloc); }
inline events::RuntimeLines tcmalloc_lines() { return block_lines(kTcmalloc); }
inline events::RuntimeLines mimalloc_lines() { return block_lines(kMimalloc); }
inline events::RuntimeLines musl_lines() { return block_lines(kMusl); }
inline events::RuntimeLines sanitizer_lines() {
  return block_lines(
      kSanitizer, {"sanitizer.shadow", "sanitizer.shadow", "sanitizer.heap"},
      {{"sanitizer.shadow", "shadow of a sanitizer (ASan, MSan, TSan)", "sanitizer"},
       {"sanitizer.heap", "blocks of the sanitizer's malloc, freed ones included", "sanitizer"}});
}
inline events::RuntimeLines pymalloc_lines() {
  return block_lines(kPymalloc, {"python.objects", "python.free", "python.unread"},
                     {{"python.objects", "small objects of CPython", "python"},
                      {"python.free", "free blocks in arenas of CPython", "python"},
                      {"python.unread", "arenas of CPython that were not read", "python"}});
}

}  // namespace memwhy::allocators
