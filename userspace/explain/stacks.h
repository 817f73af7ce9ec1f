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

// Results for stacks of one address space that stay true: of those whose every frame has a name. An hour of 10,000
// stacks is 360 scans, and each would judge them all again.
struct StackMemory {
  std::unordered_map<StackId, StackFacts> known;
  uint64_t answers_changed = 0;  // of the timeline, when they were made
};

// Bound to one address space; remembers its results for one pass (names may arrive later), and with a memory those that stay
// true beyond.
class Stacks {
 public:
  Stacks(const timeline::Timeline& timeline, SpaceId space, const std::vector<events::Vma>& vmas,
         StackMemory* memory = nullptr)
      : timeline_(timeline), names_(timeline, space, vmas), memory_(memory) {
    if (memory_ == nullptr || memory_->answers_changed == timeline.answers_changed()) return;
    memory_->known.clear();
    memory_->answers_changed = timeline.answers_changed();
  }

  StackFacts facts(StackId id);
  struct Chain {
    std::vector<Frame> frames;  // innermost first, inlined ones included
    size_t certain = 0;         // how many come before the first that is not certain
  };
  Chain chain(StackId id) const;

 private:
  struct Names {
    std::vector<FunctionName> functions;
    bool all = true;  // every frame has one
  };
  Names names(const events::Stack& stack) const;
  struct Judgement {
    StackFacts facts;
    bool stays = false;  // whatever names arrive
  };
  Judgement judge(StackId id) const;
  // A chain through code without frame pointers can pick up words that are no return addresses. An address with
  // a name stays even if its library was unloaded since.
  bool stray(uint64_t address, bool is_return) const {
    return names_.symbol(address, is_return) == nullptr && !names_.executable(address);
  }

  const timeline::Timeline& timeline_;
  CodeNames names_;
  StackMemory* memory_;
  std::unordered_map<StackId, StackFacts> known_;
};

}  // namespace memwhy::explain
