// SPDX-License-Identifier: Apache-2.0
// A DWARF expression of an unwind table, evaluated with the registers as unknowns.
//
//   PLT        breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus    at an address with the last digit 0xb: sp + 16
//   signal     breg7 160, deref                                             [sp + 160]
//   realigned  breg6 -8, deref                                              [fp - 8]
//
// What it is: sums of one register and numbers, after no more than one load. What it is not: an evaluator; anything else is
// kUnknown.
#pragma once

#include <cstdint>
#include <span>

namespace memwhy::symbols {

struct CfiValue {
  enum class Base : uint8_t {
    kUnknown,
    kNumber,       // add
    kStack,        // stack pointer + add
    kFrame,        // frame pointer + add
    kLoadedStack,  // [stack pointer + add] + then
    kLoadedFrame,  // [frame pointer + add] + then
  };
  Base base = Base::kUnknown;
  int64_t add = 0, then = 0;

  bool loaded() const { return base == Base::kLoadedStack || base == Base::kLoadedFrame; }
  bool operator==(const CfiValue&) const = default;
};

constexpr unsigned kDwarfFrame = 6, kDwarfStack = 7, kDwarfReturn = 16;  // x86-64's numbers of the registers

// `address`: of the instruction.
CfiValue evaluate(std::span<const uint8_t> expression, uint64_t address);
// Whether its value may differ from one address to the next.
bool names_its_address(std::span<const uint8_t> expression);

}  // namespace memwhy::symbols
