// SPDX-License-Identifier: Apache-2.0
// Stacks: what the stack of a page fault or a mapping shows. Its frames, whether its chain is complete, and which kind of code
// touched the page (or requested the mapping). Not an owner: owners.h weighs this with the VMA.
#pragma once

#include <unordered_map>
#include <vector>

#include "explain/code_names.h"
#include "explain/functions.h"
#include "explain/stack_trust.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

struct StackFacts {
  StackKind touched = StackKind::kNone;  // read as the stack of a fault
  StackKind mapped = StackKind::kNone;   // read as the stack of an mmap, mremap or brk
  bool truncated = false;                // the chain does not end at a known root
  StackTrust trust = StackTrust::kWhole;
};

// Bound to one address space; remembers what it has said for one pass (names may arrive later).
class Stacks {
 public:
  Stacks(const timeline::Timeline& timeline, SpaceId space, const std::vector<events::Vma>& vmas)
      : timeline_(timeline), names_(timeline, space, vmas) {}

  StackFacts facts(StackId id);
  struct Chain {
    std::vector<Frame> frames;  // innermost first, inlined ones included
    size_t certain = 0;         // how many come before the first that is not certain
  };
  Chain chain(StackId id) const;

 private:
  std::vector<FunctionName> names(const events::Stack& stack) const;
  StackFacts judge(StackId id) const;
  // A chain through code without frame pointers can pick up words that are no return addresses. An address with
  // a name stays even if its library was unloaded since.
  bool stray(uint64_t address, bool is_return) const {
    return names_.symbol(address, is_return) == nullptr && !names_.executable(address);
  }

  const timeline::Timeline& timeline_;
  CodeNames names_;
  std::unordered_map<StackId, StackFacts> known_;
};

}  // namespace memwhy::explain
