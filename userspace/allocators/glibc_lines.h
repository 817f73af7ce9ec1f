// SPDX-License-Identifier: Apache-2.0
// What pages of glibc's malloc are in the ledger: its registration with explain/ (events/runtime_lines.h). Its lines are those
// of any C heap, which are built in, so that other allocators share them.
#pragma once

#include "allocators/glibc_join.h"
#include "events/runtime_lines.h"

namespace memwhy::allocators {

inline constexpr const char* kGlibcRuntime = "glibc";

inline events::RuntimeLines glibc_lines() {
  return {kGlibcRuntime,
          {},
          {{kGlibcUses[kUseArena], "c.heap.used",
            events::SlotOwners{"c.heap.free", "c.heap.free", "c.heap.unclassified", "arenas", false}},
           {kGlibcUses[kUseMapped], "c.heap.used"},
           {kGlibcUses[kUseUnread], "c.heap.unclassified"}},
          "c.heap.unclassified"};
}

}  // namespace memwhy::allocators
