// SPDX-License-Identifier: Apache-2.0
// The heaviest pieces of evidence under one line of the ledger: a view of the cells, as values. What they are depends on
// the owner: of files the file, of stacks of threads the mapping, else the stack that touched the pages, and of Go objects
// in use the place of their allocation when there is a heap profile. Entries never sum to more than the line.
//
//   anon.other   12.0 MiB  fault      work (main.c:13) < main (main.c:8)          two cells of one stack
//                 1.0 MiB  mmap site  mmap (libc.so.6) < main (main.c:8)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explain/attribution.h"
#include "explain/ledger_line.h"
#include "explain/recursion.h"

namespace memwhy::explain {

constexpr size_t kHeaviest = 10;

enum class EntryWhat : uint8_t { kFile, kStack, kMapping };
constexpr size_t kEntryWhats = 3;

// What the bytes of an entry are of.
enum class EntrySays : uint8_t {
  kPages,                   // that lie there now
  kFirstTouched,            // pages of Go spans: by their first touch, whatever is in their slots now
  kFirstTouchedOfAllSpans,  // the same, and those of this line are fewer than of all spans
  kAllocated,               // objects by the heap profile's samples: an estimate
};
constexpr size_t kEntrySays = 4;

struct Entry {
  uint64_t bytes = 0;
  EntryWhat what = EntryWhat::kMapping;
  EntrySays says = EntrySays::kPages;
  std::string_view whole;            // kFirstTouchedOfAllSpans: what they are called, of Attribution::parted
  std::optional<timeline::How> how;  // absent where it makes no difference: files, stacks of threads, samples
  uint32_t stack = kNoIndex;         // kStack: of the heaviest of its cells
  uint32_t mapping = kNoIndex;       // of the heaviest, else
  std::vector<uint32_t> deep;        // kStack: of each folded frame, the most of its cells' (recursion.h)
  TimeNs oldest = 0;
  std::optional<double> age_s;
};

// Heaviest first. Cells that name nothing (the rest) are in none of them.
std::vector<Entry> heaviest(const Attribution& all, const LedgerLine& line, size_t most = kHeaviest);

// "/usr/lib/libc.so.6", "[anon: Go: heap]", "7f10000-7f20000 rw-p"; "" of a stack.
std::string name_of(const Attribution& all, const Entry& entry);
// Of a stack: its frames, recursion written once.
std::vector<FoldedFrame> folded_of(const Attribution& all, const Entry& entry);
inline bool is_truncated(const Attribution& all, const Entry& entry) {
  return entry.stack < all.stacks.size() && all.stacks[entry.stack].truncated;
}
// Of a stack: as they are written everywhere.
inline FrameText text_style(const Entry& entry) {
  return entry.says == EntrySays::kAllocated ? FrameText::kShort : FrameText::kWhole;
}

}  // namespace memwhy::explain
