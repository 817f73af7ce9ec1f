// SPDX-License-Identifier: Apache-2.0
// StackNodes: the outer frames of stacks, which the kernel side keeps once for all stacks that share them (abi/table.h).
//
//   slot 0x0beef {memset, load}, outer 0x7001   ──► parse ──► main ──► _start   = {memset, load, parse, main, _start}
//
// What it is: the chain of a stack, read; and nodes that no stack leads to, given back. What it is not: locked (StackTable).
// A node is freed in three passes, like a stack's slot: a program that has found it may be about to name it.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "memwhy/abi/table.h"

namespace memwhy::probe {

class StackNodes {
 public:
  // `all` is shared with the kernel and outlives this. `freed`: for whom the node was claimed that is given back.
  explicit StackNodes(mw_node* all = nullptr, uint32_t count = 0, std::function<void(SpaceId)> freed = {})
      : all_(all), count_(count), on_freed_(std::move(freed)) {}

  // Frames of a stack, the innermost first; fewer than its n: some are being written at this moment.
  std::vector<uint64_t> frames(mw_stack& stack) const;

  // One pass over the nodes that no stack of `stacks` leads to; a stack whose n is 0 leads to none.
  void sweep(mw_stack* stacks, uint32_t slots);
  bool has_tombs() const { return !tombs_.empty(); }

 private:
  bool is_node(uint32_t at) const { return at < count_; }
  void mark(mw_stack& stack, std::vector<bool>& named) const;

  mw_node* all_;
  uint32_t count_;
  std::function<void(SpaceId)> on_freed_;
  std::vector<uint8_t> idle_;                     // passes in which no stack led to it
  std::unordered_map<uint32_t, uint64_t> tombs_;  // node -> its hash
};

}  // namespace memwhy::probe
