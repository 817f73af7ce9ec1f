// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_limit.h"

#include <algorithm>

namespace memwhy::agent {

bool MemoryLimit::at(TimeNs now, uint64_t rss_bytes, uint64_t limit_bytes, size_t recorded, size_t wanted) {
  const bool limited = most_ != SIZE_MAX;
  if (rss_bytes > limit_bytes) {
    if (limited && (most_ == 1 || now < changed_at_ + kHalvesEach)) return false;
    most_ = std::max<size_t>(1, std::min(recorded, most_) / 2);
    changed_at_ = now;
    return true;
  }
  if (limited && rss_bytes < limit_bytes / 5 * 4 && now >= changed_at_ + kDoublesEach) {
    most_ = most_ >= wanted ? SIZE_MAX : 2 * most_;
    changed_at_ = now;
  }
  return false;
}

}  // namespace memwhy::agent
