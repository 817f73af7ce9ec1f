// SPDX-License-Identifier: Apache-2.0
// StackTable: puts stacks into an Attribution, each frame and each stack once.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "explain/attribution.h"
#include "explain/stacks.h"

namespace memwhy::explain {

class StackTable {
 public:
  // `into` has no stacks yet.
  explicit StackTable(Attribution& into) : into_(into) {}

  // Its index in Attribution::stacks.
  uint32_t add(const std::vector<Frame>& frames, const StackFacts& facts = {}, size_t certain = kNoIndex);
  // An index of a single frame; kNoIndex when there is no room.
  uint32_t add_frame(const Frame& frame);

 private:
  Attribution& into_;
  std::map<Frame, uint32_t> frames_;
  std::map<CallStack, uint32_t> stacks_;
};

}  // namespace memwhy::explain
