// SPDX-License-Identifier: Apache-2.0
// Shares: how much each traced space holds of the common tables (stacks, nodes of their outer frames, chunks of the page
// fault table).
//
// What it is: the daemon's half of a rule that the kernel side keeps when a slot is claimed (bpf/lib/share.bpf.h): while
// others are traced a space may hold at most once (stacks, nodes) or twice (chunks) what is still free. What it is not: a table; it
// counts.
//
//   131,072 stack slots:  one space that takes what it can gets 65,536, two get 43,691 each
//   and the rest is for the others, which hold little
//
// The kernel side counts claims and refusals, the daemon what is given back.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "base/ids.h"
#include "memwhy/abi/table.h"

namespace memwhy::probe {

// Words of a Loss: faults or calls with a stack, and faults with a page, above the share of their process.
constexpr const char* kStackShare = "stack_share";
constexpr const char* kPageShare = "page_share";

class Shares {
 public:
  // Shared with the kernel; outlives this.
  struct Shared {
    mw_space* spaces = nullptr;
    mw_use* uses = nullptr;  // of the space in the same slot
    uint32_t slots = 0;
    mw_use* all = nullptr;
    uint32_t* traced = nullptr;  // number of spaces
  };
  Shares() = default;  // no counting: in tests
  explicit Shares(Shared shared) : shared_(shared) {}

  // A slot that was claimed for this space, which may have ended, is free again.
  void free_stack(SpaceId owner) const { give_back(owner, &mw_use::stacks); }
  void free_chunk(SpaceId owner) const { give_back(owner, &mw_use::chunks); }
  void free_node(SpaceId owner) const { give_back(owner, &mw_use::nodes); }
  // The space is traced no longer: its key is gone from the slot.
  void left() const;

  // How often a claim was refused since the last call, for each space where it was.
  using Tell = std::function<void(SpaceId, uint32_t stacks, uint32_t chunks)>;
  void refused(const Tell& tell);

 private:
  struct Told {
    SpaceId space{};
    uint32_t stacks = 0, chunks = 0;
  };
  void give_back(SpaceId owner, mw_u32 mw_use::*what) const;

  Shared shared_;
  mutable uint32_t last_ = 0;                // slot of the last owner: the next one is often the same
  std::unordered_map<uint32_t, Told> told_;  // by slot, of spaces that were ever refused
};

}  // namespace memwhy::probe
