// SPDX-License-Identifier: Apache-2.0
#include "probe/shares.h"

#include <atomic>

namespace memwhy::probe {
namespace {

void take_one(mw_u32& count) {
  std::atomic_ref word(count);
  mw_u32 now = word.load(std::memory_order_relaxed);
  while (now > 0 && !word.compare_exchange_weak(now, now - 1)) {
  }
}

}  // namespace

void Shares::give_back(SpaceId owner, mw_u32 mw_use::*what) const {
  if (shared_.all == nullptr) return;
  take_one(shared_.all->*what);
  for (uint32_t i = 0; i < shared_.slots; ++i) {
    const uint32_t slot = (last_ + i) % shared_.slots;
    mw_space& space = shared_.spaces[slot];
    if (SpaceId{space.space} != owner) continue;
    last_ = slot;
    // A space that has ended is not queried any more; the next one in its slot begins at 0.
    if (std::atomic_ref(space.mm).load(std::memory_order_acquire) > MW_SLOT_BUSY)
      take_one(shared_.uses[slot].*what);
    return;
  }
}

void Shares::left() const {
  if (shared_.traced != nullptr) take_one(*shared_.traced);
}

void Shares::refused(const Tell& tell) {
  for (uint32_t slot = 0; slot < shared_.slots; ++slot) {
    const mw_use& use = shared_.uses[slot];
    if (use.stacks_refused == 0 && use.chunks_refused == 0) continue;
    const SpaceId space{shared_.spaces[slot].space};
    Told& told = told_[slot];
    if (told.space != space) told = {space, 0, 0};
    const uint32_t stacks = use.stacks_refused - told.stacks, chunks = use.chunks_refused - told.chunks;
    if (stacks == 0 && chunks == 0) continue;
    told = {space, use.stacks_refused, use.chunks_refused};
    tell(space, stacks, chunks);
  }
}

}  // namespace memwhy::probe
