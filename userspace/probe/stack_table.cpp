// SPDX-License-Identifier: Apache-2.0
#include "probe/stack_table.h"

#include <algorithm>

namespace memwhy::probe {
namespace {

template <typename T>
T load(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_acquire);
}

template <typename T>
void store(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

bool is_hash(uint64_t word) { return word != MW_SLOT_EMPTY && word != MW_SLOT_TOMB; }

}  // namespace

StackTable::StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots)
    : hashes_(hashes), stacks_(stacks), slots_(slots), known_(slots) {}

std::optional<StackId> StackTable::resolve(uint32_t slot, SpaceId space, std::vector<events::Stack>& fresh) {
  if (slot == MW_ENTRY_STACK_LOST) return StackId::kLost;
  if (slot >= slots_) return StackId::kNone;
  const std::lock_guard lock(mutex_);
  Slot& known = known_[slot];
  const uint64_t hash = load(hashes_[slot]);
  if (known.id != StackId::kNone && (hash == known.hash || !is_hash(hash))) return known.id;
  if (!is_hash(hash)) return StackId::kNone;

  if (load(stacks_[slot].n) == 0) return std::nullopt;
  const auto [entry, is_new] = ids_.try_emplace(hash, Known{StackId{last_id_ + 1}});
  ++entry->second.slots;
  known.hash = hash;
  known.id = entry->second.id;
  known.space = space;
  known.idle = 0;
  if (is_new) {
    ++last_id_;
    fresh.push_back(stack_in(slot));
  }
  return known.id;
}

events::Stack StackTable::stack_in(uint32_t slot) const {
  const mw_stack& shared = stacks_[slot];
  events::Stack stack;
  stack.id = known_[slot].id;
  stack.space = known_[slot].space;
  stack.cut = (shared.flags & MW_STACK_CUT) != 0;
  stack.unreadable = (shared.flags & MW_STACK_UNREADABLE) != 0;
  stack.frames.assign(shared.ip, shared.ip + std::min(shared.n, MW_STACK_FRAMES));
  return stack;
}

void StackTable::lost(StackId id) {
  const std::lock_guard lock(mutex_);
  lost_.insert(id);
}

void StackTable::resend(std::vector<events::Stack>& out) {
  const std::lock_guard lock(mutex_);
  for (uint32_t slot = 0; slot < slots_ && !lost_.empty(); ++slot)
    if (lost_.erase(known_[slot].id) > 0) out.push_back(stack_in(slot));
  lost_.clear();
}

// A slot that held this stack was freed. What came back since it was let go is not the oldest.
void StackTable::let_go(uint64_t hash) {
  const auto known = ids_.find(hash);
  if (known == ids_.end() || --known->second.slots > 0) return;  // never named, or in another slot too
  known->second.let_go = ++let_go_count_;
  let_go_.push_back(hash);
  if (let_go_.size() <= slots_) return;
  const auto oldest = ids_.find(let_go_.front());
  if (oldest != ids_.end() && oldest->second.slots == 0 && oldest->second.let_go + slots_ == let_go_count_)
    ids_.erase(oldest);
  let_go_.pop_front();
}

void StackTable::sweep(const std::vector<bool>& named) {
  const std::lock_guard lock(mutex_);
  for (uint32_t slot = 0; slot < slots_; ++slot) {
    Slot& known = known_[slot];
    const bool keep = named[slot] || lost_.contains(known.id);
    if (known.tomb != 0) {
      if (!keep) {
        store(stacks_[slot].n, 0u);
        let_go(known.hash);
        freed_.fetch_add(1, std::memory_order_relaxed);
      }
      store<mw_u64>(hashes_[slot], keep ? known.tomb : MW_SLOT_EMPTY);
      known = keep ? Slot{known.hash, known.id, known.space, 0, 0} : Slot{};
      --tombs_;
      continue;
    }
    mw_u64 hash = load(hashes_[slot]);
    if (keep || !is_hash(hash)) {
      known.idle = 0;
    } else if (++known.idle == 2 && load(stacks_[slot].n) != 0 &&
               std::atomic_ref(hashes_[slot]).compare_exchange_strong(hash, MW_SLOT_TOMB)) {
      known.tomb = hash;
      ++tombs_;
    }
  }
}

}  // namespace memwhy::probe
