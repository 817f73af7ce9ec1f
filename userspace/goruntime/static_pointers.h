// SPDX-License-Identifier: Apache-2.0
// StaticPointers: what a variable points to may lie among the variables itself, where the linker laid it out. It has no symbol:
// the variable that leads to it is its name.
//
//   var db = &store{}           main.db {8 B} ──► store {48 B, no symbol}.rows ──► heap
//   var shards = []*shard{…}    main.shards {24 B} ──► array, no symbol ──► shard, no symbol ──► heap
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/ids.h"

namespace memwhy::goruntime {

// The last of `ranges`, in order, that begins at `address` or before, and contains it.
const AddressRange* range_of(std::span<const AddressRange> ranges, uint64_t address);

class StaticPointers {
 public:
  // `variables`: in order; none: the program is stripped.
  explicit StaticPointers(std::span<const AddressRange> variables) : variables_(variables) {}

  // A word of the variables, and to which address among them it points.
  void add(uint64_t source, uint64_t target);

  // For a word that is in no variable: words that lead to it, nearest first. The last of them is in a variable, if any is.
  std::vector<uint64_t> leading_to(uint64_t address) const;

 private:
  std::span<const AddressRange> variables_;
  std::map<uint64_t, uint64_t> sources_;  // by target
};

}  // namespace memwhy::goruntime
