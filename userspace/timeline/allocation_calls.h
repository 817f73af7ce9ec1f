// SPDX-License-Identifier: Apache-2.0
// AllocationCalls: the sampled calls of malloc and its kind in one address space, by stack and size. Not what is in use now:
// frees are not recorded. Bounded: beyond the limit of kinds, later ones have no stack.
//
//   stack 9   1,000 bytes   1,312 calls
//   stack 4      64 bytes     640 calls
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "base/ids.h"
#include "events/allocation.h"

namespace memwhy::timeline {

class AllocationCalls {
 public:
  static constexpr size_t kMostKinds = 8192;

  void add(const events::AllocationCall& call, TimeNs time) {
    Key key{call.stack, call.bytes};
    if (kinds_.size() >= kMostKinds && !kinds_.contains(key)) key = {StackId::kNone, 0};
    ++kinds_[key];
    if (calls_++ == 0) first_ = time;
    last_ = std::max(last_, time);
  }
  uint64_t calls() const { return calls_; }
  TimeNs first() const { return first_; }
  TimeNs last() const { return last_; }
  using Key = std::pair<StackId, uint64_t>;  // bytes as the caller wanted them; 0: there was no room
  const std::map<Key, uint64_t>& kinds() const { return kinds_; }
  size_t memory_bytes() const { return kinds_.size() * (sizeof(Key) + sizeof(uint64_t) + 32); }

 private:
  std::map<Key, uint64_t> kinds_;
  uint64_t calls_ = 0;
  TimeNs first_ = 0, last_ = 0;
};

}  // namespace memwhy::timeline
