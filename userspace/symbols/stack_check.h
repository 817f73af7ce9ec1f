// SPDX-License-Identifier: Apache-2.0
// The stack check at the start of a Go function (amd64), and the one instruction of it where a probe is safe and counts
// exactly: its conditional jump. The kernel emulates it (nothing is single-stepped), the arguments are still in their
// registers, and a call that must grow its stack first can be distinguished from one that goes on: CF or ZF is set, and the
// function begins again. Bytes in, an offset out; nothing is read or attached here.
//
//   runtime.(*mcache).allocLarge       49 3b 66 10          cmp  0x10(%r14), %rsp      g.stackguard0
//                                  +4  0f 86 0d 02 00 00    jbe  +0x217                <- the site
//                                  +a  48 83 ec 48          sub  $0x48, %rsp
//   a larger frame                     4c 8d a4 24 10 ff..  lea  -0xf0(%rsp), %r12     then cmp 0x10(%r14), %r12; jbe
//   a very large frame                 49 89 e4             mov  %rsp, %r12            sub $N, %r12; jb; cmp; jbe
//   on the system stack                49 3b 66 18          cmp  0x18(%r14), %rsp      g.stackguard1
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace memwhy::symbols {

constexpr size_t kMostStackCheckBytes = 32;  // max bytes of a function's start that must be known

struct StackCheck {
  uint32_t jump = 0;        // of the conditional jump, from the function's start
  uint32_t jump_bytes = 0;  // 2 or 6
};

// `code`: a function from its start, not beyond its end (`function_bytes`). kBadInput has in a
// sentence why there is no site: no check (NOSPLIT), or an unknown beginning of a function.
Result<StackCheck> find_stack_check(std::span<const uint8_t> code, uint64_t function_bytes);

}  // namespace memwhy::symbols
