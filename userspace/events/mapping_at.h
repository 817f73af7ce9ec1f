// SPDX-License-Identifier: Apache-2.0
// The mapping of an address, in a list in order of address. The one look-up: code that wants an index, a flag or a name
// takes it from here.
//
//   400000-410000 r-xp, 410000-412000 rw-p, 900000-940000 rw-p
//     411fff → the second      412000 → none: a hole; the first that ends after it is the third
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "events/event.h"

namespace memwhy::events {

inline std::vector<Vma>::const_iterator first_ending_after(const std::vector<Vma>& vmas, uint64_t address) {
  return std::partition_point(vmas.begin(), vmas.end(),
                              [address](const Vma& vma) { return vma.range.end <= address; });
}

// nullptr: no mapping holds it.
inline const Vma* mapping_at(const std::vector<Vma>& vmas, uint64_t address) {
  const auto at = first_ending_after(vmas, address);
  return at != vmas.end() && at->range.start <= address ? &*at : nullptr;
}

}  // namespace memwhy::events
