// SPDX-License-Identifier: Apache-2.0
#include "timeline/go/moments.h"

#include <algorithm>

namespace memwhy::timeline {

void GoMoments::add(const events::GoCall& call, TimeNs time) {
  const bool allocation = call.function == events::GoFunction::kLargeAllocation;
  if (!allocation && call.function != events::GoFunction::kScavenge) return;
  if (allocation && call.bytes < kLeastBytes) return;
  std::vector<GoMoment>& moments = allocation ? allocations_ : scavenges_;
  moments.push_back({time, call.bytes, call.stack});
  if (moments.size() > kMost) thin(moments);
}

void GoMoments::thin(std::vector<GoMoment>& moments) {
  std::vector<uint64_t> sizes;
  sizes.reserve(moments.size());
  for (const GoMoment& moment : moments) sizes.push_back(moment.bytes);
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  const uint64_t median = *middle;
  size_t equal = 0;
  std::erase_if(moments, [&](const GoMoment& moment) {
    return moment.bytes < median || (moment.bytes == median && equal++ % 2 == 1);
  });
}

}  // namespace memwhy::timeline
