// SPDX-License-Identifier: Apache-2.0
// GoCalls: calls of rare functions of the Go runtime in one address space, by function, stack and size. Bounded: beyond
// the limit of sites, later ones are one, without a stack. Not what is in use now: frees are not recorded.
//
//   large_allocation  stack 9   64 MiB each   7 calls  448 MiB   first 12.1 s  last 18.4 s
//   heap_grow         stack 9                 6 calls  388 MiB
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "events/go_probe.h"

namespace memwhy::timeline {

struct GoCallSite {
  events::GoFunction function{};
  StackId stack{};
  uint64_t object_bytes =
      0;  // of allocations, large ones in whole Go pages; 0 others, or sites that had no room
  uint64_t calls = 0, bytes = 0;
  TimeNs first = 0, last = 0;
};

class GoCalls {
 public:
  static constexpr size_t kMostSites = 4096;

  void add(const events::GoCall& call, TimeNs time);
  // In order of function, most bytes first.
  std::vector<GoCallSite> all() const;
  size_t memory_bytes() const { return sites_.size() * (sizeof(Key) + sizeof(GoCallSite) + 32); }

 private:
  using Key = std::tuple<events::GoFunction, StackId, uint64_t>;
  static uint64_t object_bytes(const events::GoCall& call);
  std::map<Key, GoCallSite> sites_;
};

}  // namespace memwhy::timeline
