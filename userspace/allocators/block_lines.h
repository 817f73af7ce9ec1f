// SPDX-License-Identifier: Apache-2.0
// What pages of allocators other than glibc are in the ledger: their registration with explain/ (events/runtime_lines.h). Those
// behind malloc share the lines of any C heap, which are built in. Not those of glibc (glibc_lines.h), and not their
// words in sentences (explain/allocator_words.h).
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
                            *kMimalloc = "mimalloc", *kMusl = "musl", *kSanitizer = "sanitizer",
                            *kHotspot = "hotspot", *kV8 = "v8", *kZend = "zend";

enum class BlockUse : uint8_t {
  kObjects,  // some of it in use, the rest free beside it
  kTables,   // the allocator's own
  kFree,     // nothing of it is in use
  kUnread,
  kCode,     // compiled at run time
  kClasses,  // what a managed runtime knows of types
  kYoung,    // objects that were not yet collected once, and the room that the next collection copies them to
};
constexpr std::array<const char*, 7> kBlockUses = {"objects", "tables",  "free", "unread",
                                                   "code",    "classes", "young"};

struct BlockOwners {
  std::string used = "c.heap.used", free = "c.heap.free", unread = "c.heap.unclassified";
  std::string code = "", classes = "", young = "";  // "": it has none
};

inline events::RuntimeLines block_lines(const char* runtime, const BlockOwners& owners = {},
                                        std::vector<events::RuntimeOwner> added = {}) {
  const auto use = [](BlockUse of) { return kBlockUses[static_cast<size_t>(of)]; };
  std::vector<events::UseOwner> uses = {
      {use(BlockUse::kObjects), owners.used,
       events::SlotOwners{owners.free, owners.free, owners.unread, "blocks", false}},
      {use(BlockUse::kTables), owners.used},
      {use(BlockUse::kFree), owners.free},
      {use(BlockUse::kUnread), owners.unread}};
  if (!owners.code.empty()) uses.push_back({use(BlockUse::kCode), owners.code});
  if (!owners.classes.empty()) uses.push_back({use(BlockUse::kClasses), owners.classes});
  if (!owners.young.empty()) uses.push_back({use(BlockUse::kYoung), owners.young});
  return {runtime, std::move(added), std::move(uses), owners.unread};
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
inline events::RuntimeLines hotspot_lines() {
  return block_lines(kHotspot,
                     {"java.heap.used", "java.heap.free", "java.heap.unread", "java.code", "java.metaspace"},
                     {{"java.heap.used", "Java objects, garbage that was not yet collected included", "java"},
                      {"java.heap.free", "Java heap that holds no object", "java"},
                      {"java.heap.unread", "Java heap that was not read", "java"},
                      {"java.code", "compiled Java code", "java"},
                      {"java.metaspace", "classes of the JVM", "java"}});
}
inline events::RuntimeLines v8_lines() {
  return block_lines(kV8, {"v8.heap.used", "v8.heap.free", "v8.heap.free", "v8.code", "", "v8.heap.young"},
                     {{"v8.heap.used", "JavaScript objects that survived a collection, or are large", "v8"},
                      {"v8.heap.free", "room between JavaScript objects", "v8"},
                      {"v8.heap.young", "young JavaScript objects and the room to copy them to", "v8"},
                      {"v8.code", "compiled JavaScript", "v8"}});
}
inline events::RuntimeLines zend_lines() {
  return block_lines(kZend, {"php.heap.used", "php.heap.free", "php.heap.free"},
                     {{"php.heap.used", "what PHP's scripts keep", "php"},
                      {"php.heap.free", "free memory in chunks of PHP's heap", "php"}});
}

}  // namespace memwhy::allocators
