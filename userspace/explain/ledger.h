// SPDX-License-Identifier: Apache-2.0
// Ledger: the pages of one scan, each in exactly one cell and on exactly one line; cells and lines sum to the scan by
// construction, which is checked. heaviest.h cuts out of the cells what lies under a line; history.h has the growth.
//
//   race.shadow     59.3 MiB   Σ of its cells: vma 218000000000-218008000000 …
//   go.heap.…       28.9 MiB   Σ of the cells of Go's spans, parted by their slots
//   …
//   = 146,311,168 bytes = 35,720 pages of scan 4
#pragma once

#include <initializer_list>
#include <vector>

#include "explain/attribution.h"
#include "explain/explanation.h"
#include "explain/owners.h"
#include "explain/stack_table.h"
#include "explain/stack_trust.h"

namespace memwhy::explain {

struct Ledger {
  const OwnerTable* table = nullptr;  // names of owners
  std::vector<LedgerLine> lines;      // heaviest first, none of 0 bytes
  OwnerBytes bytes = {};              // of the lines
  OwnerBytes mappings = {};           // mappings that hold pages of this owner
  RssSummary rss;                     // bytes, anon, file, shmem
  uint64_t truncated_stack_bytes = 0, lost_stack_bytes = 0, stale_bytes = 0;
  StackCoverage stacks = {};
  bool scan_complete = true;

  uint64_t total(std::initializer_list<Owner> owners) const {
    uint64_t sum = 0;
    for (Owner owner : owners) sum += of(bytes, owner);
    return sum;
  }
};

// `owners` has decided on this very scan. Puts its cells into `attribution`, max `most_cells`. Throws
// std::logic_error when they do not sum to the scan: a bug.
Ledger make_ledger(const Evidence& evidence, const Owners& owners, Stacks& stacks, StackTable& table,
                   Attribution& attribution, size_t most_cells = kMostCells);

// Throws std::logic_error unless Σ cells == Σ lines == `rss_bytes`, and of each owner too (those of Go's spans together).
void check_sums(const Attribution& attribution, const std::vector<LedgerLine>& lines, uint64_t rss_bytes);

}  // namespace memwhy::explain
