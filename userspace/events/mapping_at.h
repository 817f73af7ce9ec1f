// SPDX-License-Identifier: Apache-2.0
// The mapping of an address, in a list in order of address. The one look-up: code that wants an index, a flag or a name
// takes it from here.
//
//   400000-410000 r-xp, 410000-412000 rw-p, 900000-940000 rw-p
//     411fff → the second      412000 → none: the hole behind it      900000 → the third
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "events/event.h"

namespace memwhy::events {

// nullptr: no mapping holds it.
inline const Vma* mapping_at(const std::vector<Vma>& vmas, uint64_t address) {
  const auto after = std::upper_bound(vmas.begin(), vmas.end(), address,
                                      [](uint64_t a, const Vma& vma) { return a < vma.range.start; });
  if (after == vmas.begin()) return nullptr;
  const Vma& vma = *(after - 1);
  return vma.range.contains(address) ? &vma : nullptr;
}

}  // namespace memwhy::events
