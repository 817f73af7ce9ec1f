// SPDX-License-Identifier: Apache-2.0
// What the model knows of resident pages, at the granularity that explain/ needs: pages of one mapping with the
// same evidence. Not a page map (PageTable) and not an owner (explain/owners): evidence only.
//
//   rw-p anon VMA 7f12'3400'0000-7f12'4400'0000 of space 1 after scan 3, 40,961 resident pages:
//     { vma 12, how kFault,        stack 9,  pages 40,448, huge 40,448, ages {40,448 40,448 0 0} }
//     { vma 12, how kMmapSite,     stack 4,  pages    512, huge      0, … }
//     { vma 12, how kBeforeAttach, stack -,  pages      1, … }
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "timeline/runtime_claims.h"

namespace memwhy::timeline {

// How the attribution of a page is known; the order of kernel evidence, best first.
enum class How : uint8_t {
  kFault,        // its own entry in the page fault table: a user-mode fault
  kKernelFault,  // the same, touched by the kernel for the process (copy_to_user)
  kHugeBlock,    // its 2 MiB block is huge; the block's last fault brought it
  kFaultAround,  // file page in the 64 KiB window of a fault
  kMoved,        // an entry that mremap carried here
  kInherited,    // had by the parent when it forked; stack and birth are the parent's
  kMmapSite,  // populated without a fault; the stack is that of the mmap, brk or mremap that made the mapping
  kBeforeAttach,  // resident in the first scan, with no evidence but its address range
  kUnknown,       // born after attach, how is unknown
};
constexpr size_t kHowCount = 9;

// Thresholds of page retention: bytes older than 10 s, 1 min, 10 min, 1 h.
constexpr std::array<TimeNs, 4> kAgeLimits = {10'000'000'000, 60'000'000'000, 600'000'000'000,
                                              3'600'000'000'000};

// A page that lies in no mapping of the list: the list is older than the scan, or the trace is damaged.
constexpr uint32_t kNoVma = 0xffffffff;

struct PageGroup {
  uint32_t vma = 0;  // index into ScanResult::vmas (AddressSpace::vmas() as of the same scan), or kNoVma
  How how = How::kUnknown;
  StackId stack{};
  RuntimeUse by;           // the runtime that holds them and for what; of the claims of the same scan
  bool file_page = false;  // a page of the page cache, not an anonymous copy (private file mappings only)
  uint64_t pages = 0;
  uint64_t huge_pages = 0;        // of `pages`, those mapped by a PMD
  uint64_t lazy_pages = 0;        // of `pages`, those under an MADV_FREE that was seen and not written since
  uint64_t stack_lost_pages = 0;  // of `pages`, those for whose stack the kernel side had no room
  std::array<uint64_t, 4> older_pages = {};  // than kAgeLimits[i]; of unknown birth: since first seen
  TimeNs oldest = 0;                         // birth of the oldest, or the scan in which it was first seen
  uint64_t bytes() const { return pages * kPageBytes; }
};

// What one scan came to. Σ groups.pages == resident_pages by construction.
struct ScanResult {
  SpaceId space{};
  uint64_t scan = 0;
  TimeNs time = 0;
  bool complete = true;
  uint64_t resident_pages = 0;
  uint64_t swapped_pages = 0;
  std::optional<events::SharedPages> shared;  // what others map too
  std::vector<PageGroup> groups;
  std::vector<PageGroup>
      arrived;  // resident now and not in the scan before (or reborn): a subset of groups' pages
  std::vector<PageGroup> left;  // resident in the scan before and gone; vma indexes that scan's list
  uint64_t stale_pages = 0;  // entries of pages that are not resident (and no removal was seen for): quality
  uint64_t doubtful_pages =
      0;  // resident pages whose entry is older than a removal that was lost since the scan before
  // The claims of runtimes and allocators for the scan; null: none.
  std::shared_ptr<const RuntimeClaims> runtimes;         // of groups and arrived
  std::shared_ptr<const RuntimeClaims> runtimes_before;  // of left
  // The lists that the indexes mean; never null in a result of the model.
  std::shared_ptr<const std::vector<events::Vma>> vmas;         // of groups and arrived
  std::shared_ptr<const std::vector<events::Vma>> vmas_before;  // of left

  // Empty when there is no list.
  const std::vector<events::Vma>& mappings() const {
    static const std::vector<events::Vma> kNone;
    return vmas ? *vmas : kNone;
  }
  // nullptr for kNoVma.
  const events::Vma* vma_of(const PageGroup& group) const {
    return vmas && group.vma < vmas->size() ? &(*vmas)[group.vma] : nullptr;
  }
};

}  // namespace memwhy::timeline
