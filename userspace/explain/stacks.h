// SPDX-License-Identifier: Apache-2.0
// Stacks: what a stack says. Names for its frames, whether its chain is whole, and which kind of code touched
// the page (or asked for the mapping). Not an owner: owners.h weighs this with the VMA.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "explain/functions.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

struct StackFacts {
  StackKind touched = StackKind::kNone;  // read as the stack of a fault
  StackKind mapped = StackKind::kNone;   // read as the stack of an mmap, mremap or brk
  bool truncated = false;                // the chain does not end at a known root
};

// Bound to one address space; remembers what it has said for one pass (names may arrive later).
class Stacks {
 public:
  Stacks(const timeline::Timeline& timeline, SpaceId space, const std::vector<events::Vma>& vmas);

  StackFacts facts(StackId id);
  // "func (file:line)", or "module+0xoffset" when there is no name; innermost first, inlined frames included.
  std::vector<std::string> frames(StackId id) const;

 private:
  std::vector<FunctionName> names(const events::Stack& stack) const;
  StackFacts judge(StackId id) const;
  bool executable(uint64_t address) const;
  const events::Vma* vma_of(uint64_t address) const;

  const timeline::Timeline& timeline_;
  SpaceId space_;
  const std::vector<events::Vma>& vmas_;
  std::unordered_map<StackId, StackFacts> known_;
};

}  // namespace memwhy::explain
