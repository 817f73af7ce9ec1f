// SPDX-License-Identifier: Apache-2.0
// Attribution: the answer before anything is summed up. Which pages of the last scan belong to which owner, in which
// mapping, by which stack, and how that is known; with the mappings, stacks and frames that the cells name. Everything
// printed is a view of it: lines of the ledger (ledger_line.h), the heaviest entries of one (heaviest.h).
//
//   cells                                                     mappings           stacks      frames
//     owner        how           mapping stack  pages  huge     0 7f10…-7f20…      0 0 1 2     0 memset    libc
//     anon.other   fault               0     0  8,192  7,680    1 7f30…-7f31…      1 3 2       1 work      program
//     anon.other   mmap site           1     1    256      0                                   2 main      program
//     anon.other   (the rest)          -     -     40      0                                   3 mmap      libc
//
// Σ pages of all cells is the scan, and of the cells of one owner its line: make_ledger checks it. There is one
// exception: a page that a runtime divides into slots (a Go span of objects) holds live objects, dead ones and free slots
// side by side, so that no cell is one of the three. Those cells have the owner of the live ones and are marked
// "go.heap.spans" (PartedPages): the lines of one PartedPages divide their sum by the runtime's slots.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "events/event.h"
#include "explain/frame.h"
#include "explain/functions.h"
#include "explain/owner.h"
#include "explain/stack_trust.h"
#include "timeline/page_group.h"

namespace memwhy::explain {

constexpr uint32_t kNoIndex = 0xffffffff;

// Budgets of one process. A cell is 80 bytes, so 4,096 are 320 KiB; the services and scripts measured had 20 to 220, with
// 30 to 320 frames. Beyond it the lightest cells lose first their mapping, then their stack: cells.h.
constexpr size_t kMostCells = 4096;
// Stacks share frames. Beyond it stacks are truncated, and marked so.
constexpr size_t kMostFrames = size_t{1} << 16;

struct CallStack {
  std::vector<uint32_t> frames;  // of Attribution::frames, innermost first
  bool truncated = false;        // the chain does not end at a known root, or there was no room for all of it
  StackKind touched = StackKind::kNone;  // the code that touches memory there, if it is the stack of a fault
  StackTrust trust = StackTrust::kWhole;
  uint32_t certain = 0;  // frames before the first uncertain one: those after it may not belong to this stack
  auto operator<=>(const CallStack&) const = default;
};

struct Mapping {
  events::Vma vma;
  std::string file;  // that its pages are of: its own, or for a .bss that of the mapping before it; "" none
  bool by_shape = false;  // nothing but its shape speaks for its owner
};

// Pages that share owner, mapping, stack and how they are known.
struct Cell {
  Owner owner{};
  timeline::How how{};
  bool rest = false;  // of this owner, what had no room: without mapping and stack, and `how` has no meaning
  uint32_t mapping = kNoIndex;  // of Attribution::mappings; kNoIndex: in none, or in several
  uint32_t stack = kNoIndex;    // of Attribution::stacks; kNoIndex: unknown
  uint64_t pages = 0;
  uint64_t huge_pages = 0, lazy_pages = 0;   // of `pages`
  std::array<uint64_t, 4> older_pages = {};  // of `pages`, than timeline::kAgeLimits[i]
  TimeNs oldest = 0;
  uint64_t bytes() const { return pages * kPageBytes; }
};
static_assert(sizeof(Cell) == 80);

// Objects of the Go heap that the heap profile samples, by where they were allocated. Bytes are virtual, an estimate.
struct AllocatedAt {
  uint64_t bytes = 0;
  uint32_t stack = kNoIndex;
};

// Pages whose cells count as `live`, and whose bytes are on all four lines.
struct PartedPages {
  Owner live{}, dead{}, free{}, rest{};
  std::string id;     // of the cells: "go.heap.spans"
  std::string whole;  // what the runtime calls them: "spans"
};

struct Attribution {
  TimeNs time = 0;  // of the scan
  std::vector<Frame> frames;
  std::vector<CallStack> stacks;
  std::vector<Mapping> mappings;       // in order of address
  std::vector<Cell> cells;             // by owner, heaviest first; the rest last
  std::vector<AllocatedAt> allocated;  // of what go.heap.live holds, heaviest first; empty: no heap profile

  std::vector<PartedPages> parted;
  std::vector<std::string> added_ids;  // of owners that registrations added, from kBuiltInOwners on

  // nullptr: its pages are no runtime's, or it does not divide them.
  const PartedPages* parted_as(Owner live) const {
    for (const PartedPages& each : parted)
      if (each.live == live) return &each;
    return nullptr;
  }
  // The id of a cell's owner. It is the ledger line's, but for pages that become several lines.
  std::string_view cell_id(Owner owner) const {
    if (const PartedPages* pages = parted_as(owner)) return pages->id;
    return owner_id(owner);
  }
  // The id of an owner's line of the ledger.
  std::string_view owner_id(Owner owner) const {
    const auto number = static_cast<size_t>(owner);
    if (number < kBuiltInOwners) return owner_name(owner).id;
    return number - kBuiltInOwners < added_ids.size() ? std::string_view(added_ids[number - kBuiltInOwners])
                                                      : "";
  }
  std::vector<Frame> frames_of(uint32_t stack) const {
    std::vector<Frame> out;
    if (stack < stacks.size())
      for (const uint32_t frame : stacks[stack].frames) out.push_back(frames[frame]);
    return out;
  }
};

// Whether its file is all that matters, whatever the mapping and the stack.
inline bool by_file(Owner owner) {
  return owner == Owner::kFileText || owner == Owner::kFilePrivate || owner == Owner::kFileShared ||
         owner == Owner::kProgramData;
}

}  // namespace memwhy::explain
