// SPDX-License-Identifier: Apache-2.0
// RuntimeClaims: which runtime holds which page at one scan, from the report of each. A page belongs to no more than one runtime:
// one that two of them claim belongs to the first, and is counted as a conflict.
//
//   first        go     c000000 +16 heap
//   then         toy    c00000c +8  slab            12..15 are go's already: 4 pages in conflict
//   claims       c000000 +16 {go, heap}   c000010 +4 {toy, slab}
//
// What it is not: an owner (explain/owner_table.h gives each runtime and use its line), nor residency.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "events/event.h"

namespace memwhy::timeline {

// For what a runtime holds a page.
struct RuntimeUse {
  uint8_t runtime = 0;  // 1 + index into RuntimeClaims::told; 0: no runtime does
  uint8_t use = 0;      // index into its RuntimePages::uses
  auto operator<=>(const RuntimeUse&) const = default;
};

struct Claim {
  PageNumber page = 0;
  uint32_t count = 0;
  RuntimeUse by;
};

// Bytes of resident pages by the state of what lies in them.
struct SlotBytes {
  uint64_t live = 0, dead = 0, free = 0;
};

struct RuntimeTold {
  std::shared_ptr<const events::RuntimePages> pages;
  std::vector<SlotBytes> slots;  // by use; without runs of which another runtime has a page
  uint64_t conflict_pages = 0;   // that it claimed, and that are another's
};

struct RuntimeClaims {
  std::vector<Claim> claims;  // in order of page, not overlapping
  std::vector<RuntimeTold>
      told;  // those that hold pages, max kMostRuntimes, then the others; by their events
};

// Those that cannot be trusted claim nothing, and only their events are kept. nullptr: there were none.
std::shared_ptr<const RuntimeClaims> claims_of(
    const std::vector<std::shared_ptr<const events::RuntimePages>>& told);

// Which runtime holds a page; `end` is lowered to where that changes. For look-ups in order of page, use a cursor.
class ClaimCursor {
 public:
  explicit ClaimCursor(const RuntimeClaims* claims) : claims_(claims) {}
  RuntimeUse at(PageNumber page, PageNumber& end) {
    if (claims_ == nullptr) return {};
    const std::vector<Claim>& all = claims_->claims;
    while (next_ < all.size() && all[next_].page + all[next_].count <= page) ++next_;
    if (next_ == all.size()) return {};
    const Claim& claim = all[next_];
    if (claim.page > page) {
      end = claim.page < end ? claim.page : end;
      return {};
    }
    end = claim.page + claim.count < end ? claim.page + claim.count : end;
    return claim.by;
  }

 private:
  const RuntimeClaims* claims_;
  size_t next_ = 0;
};
// The same for any page.
RuntimeUse claim_at(const RuntimeClaims* claims, PageNumber page, PageNumber& end);

}  // namespace memwhy::timeline
