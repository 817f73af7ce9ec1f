// SPDX-License-Identifier: Apache-2.0
// Memory limit: how many processes may be recorded, by what memory the agent takes. Pure.
//
//   300 MiB of 256, 20 are recorded    10     what they took is given back slowly: looked at again 30 s later
//   280 MiB                             5
//   200 MiB, below 80 % of 256         10     60 s later
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ids.h"

namespace memwhy::agent {

class MemoryLimit {
 public:
  static constexpr TimeNs kHalvesEach = 30'000'000'000, kDoublesEach = 60'000'000'000;

  // true: there may be fewer than before.
  bool at(TimeNs now, uint64_t rss_bytes, uint64_t limit_bytes, size_t recorded, size_t wanted);
  size_t most(size_t wanted) const { return wanted < most_ ? wanted : most_; }

 private:
  size_t most_ = SIZE_MAX;
  TimeNs changed_at_ = 0;
};

}  // namespace memwhy::agent
