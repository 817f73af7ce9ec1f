// SPDX-License-Identifier: Apache-2.0
// The program of an unwind entry, run from the function's first byte to its last: one row of rules after the other.
//
//   advance 1      |  0x40 … 0x41  sp +  8
//   def_cfa_offset |  0x41 … 0x44  sp + 16, fp at -16
//   offset rbp -16 |
//   advance 3      |  0x44 … 0x90  fp + 16, fp at -16
//   def_cfa_reg 6  |
#pragma once

#include <vector>

#include "symbols/budget.h"
#include "symbols/cfi_section.h"
#include "symbols/unwind_rule.h"

namespace memwhy::symbols {

// As in FunctionRules, but by address. From where the program cannot be understood on the rule is kStop; when the budget is
// used up, too. Where each address has a rule of its own, `range` may be a part of the function, with `around` in it.
struct CfiRows {
  AddressRange range;
  std::vector<RuleRow> rows;  // ends are addresses
};
CfiRows run_cfi_program(const CfiFunction& function, uint64_t around, Budget& budget);

}  // namespace memwhy::symbols
