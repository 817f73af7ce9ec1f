// SPDX-License-Identifier: Apache-2.0
#include "explain/stack_table.h"

#include <algorithm>

namespace memwhy::explain {

uint32_t StackTable::add_frame(const Frame& frame) {
  const auto known = frames_.find(frame);
  if (known != frames_.end()) return known->second;
  if (into_.frames.size() >= kMostFrames) return kNoIndex;
  const auto index = static_cast<uint32_t>(into_.frames.size());
  into_.frames.push_back(frame);
  frames_.emplace(frame, index);
  return index;
}

uint32_t StackTable::add(const std::vector<Frame>& frames, const StackFacts& facts, size_t certain) {
  CallStack stack{{}, facts.truncated, facts.touched, facts.trust, 0};
  for (const Frame& frame : frames) {
    const uint32_t index = add_frame(frame);
    if (index == kNoIndex) {
      stack.truncated = true;
      break;
    }
    stack.frames.push_back(index);
  }
  stack.certain = static_cast<uint32_t>(std::min(certain, stack.frames.size()));
  const auto [at, added] = stacks_.try_emplace(stack, static_cast<uint32_t>(into_.stacks.size()));
  if (added) into_.stacks.push_back(std::move(stack));
  return at->second;
}

}  // namespace memwhy::explain
