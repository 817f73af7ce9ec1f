// SPDX-License-Identifier: Apache-2.0
// MadeCode: what is known of code that a run time made, beyond its frame pointer. The run time's own tables say it, which
// another room reads.
//
//   7f20'0450'2c18   sp + 48, fp at -16     a method of a JVM, compiled
//   3a10'0000'4420   nothing                V8's: by frame pointer
//
// Such code is freed while the program runs, and other code gets its place without a system call that could be seen. So rules of
// it are asked for again now and then, and what is gone() is withdrawn.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "symbols/unwind_rule.h"

namespace memwhy::unwind {

class MadeCode {
 public:
  virtual ~MadeCode() = default;
  // Of the instruction at an address: kFrame, kInterpreted or kStack. nullopt: nothing is known. `code`: executable mappings.
  virtual std::optional<symbols::UnwindRule> rule(Pid tgid, uint64_t address,
                                                  const std::vector<events::Vma>& code) = 0;
  // What of that which was asked about is other code now.
  virtual std::vector<AddressRange> gone(Pid tgid) = 0;
  // What was read of memory is too old from now on.
  virtual void forget() = 0;
};

}  // namespace memwhy::unwind
