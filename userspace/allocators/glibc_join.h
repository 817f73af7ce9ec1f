// SPDX-License-Identifier: Apache-2.0
// The join of a glibc heap with the pages that are resident: runs for the ledger, and the sums that say what would come back.
//
//   page       55d01   55d02   55d03   55d04 (top from 55d04010)   55d05   55d06
//   free       1,104   4,096   4,096       0
//   resident     yes     yes      no     yes                         yes     yes
//   so          used 2,992      trimmable 4,096     used 16, top 4,080    trimmable: brk gives whole pages of top back
//             pinned 1,104
#pragma once

#include <span>
#include <vector>

#include "allocators/glibc.h"
#include "events/event.h"

namespace memwhy::allocators {

enum GlibcUse : uint8_t { kUseArena, kUseMapped, kUseUnread };
constexpr std::array<const char*, 3> kGlibcUses = {"arena", "mapped", "unread"};

struct JoinedHeap {
  std::vector<events::RuntimeRun> runs;
  events::AllocatorHeap heap;  // its sums; no settings
};

JoinedHeap join_residency(std::span<const Glibc> libcs, std::span<const events::Vma> vmas,
                          std::span<const events::ScanRun> resident);

}  // namespace memwhy::allocators
