// SPDX-License-Identifier: Apache-2.0
// Ledger: the pages of one scan, each on exactly one line; the lines sum to the scan by construction, which
// is checked. Beside each line: its heaviest pieces of evidence. Growth is history.h's.
//
//   race.shadow     59.3 MiB   vma 218000000000-218008000000 rw-p
//   go.heap.…       28.9 MiB   runtime.mallocgc … main.main.func1
//   …
//   = 146,311,168 bytes = 35,720 pages of scan 4
#pragma once

#include <initializer_list>
#include <vector>

#include "explain/explanation.h"
#include "explain/owners.h"

namespace memwhy::explain {

constexpr size_t kTopEntries = 10;

struct Ledger {
  const OwnerTable* table = nullptr;  // names of owners
  std::vector<LedgerLine> lines;      // heaviest first, none of 0 bytes
  OwnerBytes bytes = {};
  OwnerBytes mappings = {};  // mappings that hold pages of this owner
  RssSummary rss;            // bytes, anon, file, shmem
  uint64_t truncated_stack_bytes = 0, lost_stack_bytes = 0, stale_bytes = 0;
  // Of race.internal: in one block of 2^n + 4 KiB (a call stack of TSan that doubles); in blocks of 1 MiB.
  uint64_t race_doubled_bytes = 0, race_block_bytes = 0;
  uint64_t race_by_shape_bytes = 0;  // of race.internal: only the shape of the mapping speaks for it
  AddressRange race_shadow_range;    // from the first mapping with pages to the last
  bool scan_complete = true;

  uint64_t total(std::initializer_list<Owner> owners) const {
    uint64_t sum = 0;
    for (Owner owner : owners) sum += of(bytes, owner);
    return sum;
  }
};

// Cuts entries so that they do not sum to more than `bytes`; what remains of nothing is left out.
void limit_to(uint64_t bytes, std::vector<TopEntry>& top);

// `owners` has decided on this very scan. Throws std::logic_error when the lines do not sum to the scan: a
// bug.
Ledger make_ledger(const Evidence& evidence, const Owners& owners, Stacks& stacks);

}  // namespace memwhy::explain
