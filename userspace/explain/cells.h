// SPDX-License-Identifier: Apache-2.0
// Cells: from the groups of a scan to the attribution table, within its budget. No sums and no text.
//
//   6,000 cells, a budget of 4,096
//     the heaviest 2,036    as they are
//     of the 3,964 others   those with a stack without their mapping, those of a file as its first mapping: say 1,900
//                           the rest, one cell of each owner
#pragma once

#include <vector>

#include "explain/attribution.h"
#include "explain/owners.h"
#include "explain/stack_table.h"
#include "explain/stacks.h"

namespace memwhy::explain {

// A cell of the scan, before it has a place in the tables. `owners` has decided on this very scan.
struct ScanCell {
  Cell cell;                 // without mapping and stack
  uint32_t vma = 0;          // of Evidence::vmas, or kNoIndex
  StackId stack{};           // kNone: none of use
  uint32_t file = kNoIndex;  // the first mapping of the same file, for owners that are files
};
std::vector<ScanCell> cells_of(const Evidence& evidence, const Owners& owners, Stacks& stacks);

// Not more than `most` (which is more than there are owners), of the same pages.
void limit_cells(std::vector<ScanCell>& cells, size_t most);

// Fills in cells and mappings of `out`, and their stacks by way of `table`.
void put_cells(const std::vector<ScanCell>& cells, const Evidence& evidence, const Owners& owners,
               Stacks& stacks, StackTable& table, Attribution& out);

}  // namespace memwhy::explain
