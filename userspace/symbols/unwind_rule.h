// SPDX-License-Identifier: Apache-2.0
// UnwindRule: how to get from a function's registers to those of its caller, for one address. And FunctionRules: those of all
// addresses of a function.
//
//   CFA = (stack pointer | frame pointer) + bytes    the return address is at CFA - 8, the caller's stack pointer is CFA,
//   the caller's frame pointer is at CFA - 8 x saved, or unchanged when `saved` is 0
//
//   qsort_r of libc.so.6, offsets in the file            interrupted at        returned to
//     0x409d0 … 0x409d1   push %rbp                      sp +   8              sp +   8
//     0x409d1 … 0x409d4   mov  %rsp,%rbp                 sp +  16, fp at -16   the same
//     0x409d4 … 0x40b3c                                  fp +  16, fp at -16   the same
//     0x40b3c … 0x40b3d   ret                            sp +   8              the same
//
// What it is: x86-64's convention, with neutral names, and small enough for the kernel side to pack into 32 bits. What it is
// not: all that DWARF can express; what does not fit is kStop. What comes next: arm64, where the return address may be in a
// register.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace memwhy::symbols {

struct UnwindRule {
  enum class Kind : uint8_t {
    kNone,         // no rule
    kStack,        // CFA = stack pointer + bytes
    kFrame,        // CFA = frame pointer + bytes
    kEnd,          // the outermost frame
    kSignal,       // an rt_sigframe is at the stack pointer: the interrupted registers are in it
    kRealigned,    // CFA = [frame pointer + bytes], the caller's frame pointer = [frame pointer]
    kKept,         // no table has it, but the function has made a frame for its frame pointer
    kStop,         // there is an unwind table, and it says what a rule cannot say
    kInterpreted,  // of no file: kFrame, and the caller's stack pointer is at the frame pointer - 8
  };
  static constexpr int32_t kMostBytes = 1 << 18;      // below it
  static constexpr int32_t kMostRealigned = 1 << 17;  // kRealigned: below it, in both directions
  static constexpr uint16_t kMostSaved = 1 << 11;     // below it

  Kind kind = Kind::kNone;
  uint16_t saved = 0;
  int32_t bytes = 0;

  bool operator==(const UnwindRule&) const = default;
  bool fits() const {
    if (kind > Kind::kStop || saved >= kMostSaved) return false;
    if (kind == Kind::kRealigned) return bytes > -kMostRealigned && bytes < kMostRealigned && saved == 0;
    return bytes >= 0 && bytes < kMostBytes;
  }
};

// The frame that `push %rbp; mov %rsp,%rbp` makes: what is guessed of code that has no table.
constexpr UnwindRule kFramePointerRule{UnwindRule::Kind::kFrame, 2, 16};

struct RuleRow {
  uint64_t end = 0;       // offset in the file; begins where the row before ends
  UnwindRule at;          // of an instruction of the row that was interrupted
  UnwindRule after_call;  // of a return address after a call that ends in the row
  bool operator==(const RuleRow&) const = default;
};

// What is known around an address. It is looked up by the offset of an interrupted instruction, and by that of a return
// address less 1, which is a byte of the call.
struct FunctionRules {
  static constexpr size_t kMostRows = 4096;
  enum class Why : uint8_t {
    kRule,     // a table has it
    kNoEntry,  // none has: rows that are kFramePointerRule are a guess
    kUnsaid,   // the table cannot be read, or no rule can express it at the requested address
  };

  Why why = Why::kUnsaid;
  uint64_t begin = 0, end = 0;
  std::vector<RuleRow> rows;  // the last one ends at `end`; of more than kMostRows those around the address

  bool contains(uint64_t offset) const { return offset >= begin && offset < end; }
  bool is_guess(const UnwindRule& rule) const { return why == Why::kNoEntry && rule == kFramePointerRule; }
  // nullptr: not in it.
  const RuleRow* row(uint64_t offset) const;
  // Rows in order without a hole, rules that fit, and not too many.
  bool well_formed() const;
  // Leaves the rows in `part`, or kMostRows of them around `offset`.
  static void keep(std::vector<RuleRow>& rows, AddressRange* range, const AddressRange& part);
  static void keep_around(std::vector<RuleRow>& rows, AddressRange* range, uint64_t offset);
  bool operator==(const FunctionRules&) const = default;
};

}  // namespace memwhy::symbols
