// SPDX-License-Identifier: Apache-2.0
#include "probe/stack_nodes.h"

#include <algorithm>
#include <atomic>

#include "probe/shared_word.h"

namespace memwhy::probe {

std::vector<uint64_t> StackNodes::frames(mw_stack& stack) const {
  const uint32_t n = std::min(acquire(stack.n), MW_STACK_FRAMES);
  std::vector<uint64_t> frames(stack.ip, stack.ip + std::min(n, MW_INNER_FRAMES));
  frames.reserve(n);
  for (uint32_t at = stack.outer; frames.size() < n && is_node(at); at = all_[at].caller) {
    if (acquire(all_[at].frames[0]) == 0) break;
    for (uint32_t i = MW_NODE_FRAMES; i-- > 0 && frames.size() < n;)
      if (const uint64_t frame = all_[at].frames[i]; frame != 0) frames.push_back(frame);
  }
  return frames;
}

void StackNodes::mark(mw_stack& stack, std::vector<bool>& named) const {
  if (acquire(stack.n) <= MW_INNER_FRAMES) return;
  for (uint32_t at = stack.outer; is_node(at) && !named[at]; at = all_[at].caller) named[at] = true;
}

void StackNodes::sweep(mw_stack* stacks, uint32_t slots) {
  std::vector<bool> named(count_);
  for (uint32_t slot = 0; slot < slots; ++slot) mark(stacks[slot], named);
  idle_.resize(count_);
  for (uint32_t at = 0; at < count_; ++at) {
    mw_node& node = all_[at];
    mw_u64 hash = acquire(node.hash);
    if (named[at] || hash == MW_SLOT_EMPTY) {
      idle_[at] = 0;
      if (hash == MW_SLOT_TOMB) {
        release<mw_u64>(node.hash, tombs_.at(at));
        tombs_.erase(at);
      }
    } else if (hash == MW_SLOT_TOMB) {
      const SpaceId owner{node.space};
      release<mw_u64>(node.frames[0], 0);
      release<mw_u64>(node.hash, MW_SLOT_EMPTY);
      tombs_.erase(at);
      idle_[at] = 0;
      if (on_freed_) on_freed_(owner);
    } else if (++idle_[at] == 2) {
      tombs_.emplace(at, hash);
      release<mw_u64>(node.hash, MW_SLOT_TOMB);
    }
  }
}

}  // namespace memwhy::probe
