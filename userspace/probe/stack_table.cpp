// SPDX-License-Identifier: Apache-2.0
#include "probe/stack_table.h"

#include <algorithm>

namespace memwhy::probe {
namespace {

template <typename T>
T acquire(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_acquire);
}

template <typename T>
void release(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

// Of stacks that more than one space has, so many are remembered for each further space; then they are told again,
// which costs time and no more.
constexpr size_t kMostShared = 1 << 18;

bool is_hash(uint64_t word) { return word != MW_SLOT_EMPTY && word != MW_SLOT_TOMB; }

}  // namespace

StackTable::StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots, std::function<void(uint32_t)> freed)
    : hashes_(hashes), stacks_(stacks), slots_(slots), on_freed_(std::move(freed)), known_(slots) {}

std::optional<StackId> StackTable::resolve(uint32_t slot, SpaceId space, std::vector<events::Stack>& fresh) {
  if (slot == MW_ENTRY_STACK_LOST) return StackId::kLost;
  if (slot >= slots_) return StackId::kNone;
  const std::lock_guard lock(mutex_);
  Slot& known = known_[slot];
  const uint64_t hash = acquire(hashes_[slot]);
  const bool same = known.id != StackId::kNone && (hash == known.hash || !is_hash(hash));
  if (same && known.space == space) return known.id;
  if (!same) {
    if (!is_hash(hash)) return StackId::kNone;
    if (acquire(stacks_[slot].n) == 0) return std::nullopt;
    const auto [entry, is_new] = ids_.try_emplace(hash, Known{StackId{last_id_ + 1}});
    if (is_new) ++last_id_;
    ++entry->second.slots;
    known = {hash, entry->second.id, space, 0, 0};
  }
  known.space = space;
  if (const auto entry = ids_.find(known.hash); entry != ids_.end() && !told(entry->second, space))
    fresh.push_back(stack_in(slot, space));
  return known.id;
}

// Was it told for this space? From now on it was.
bool StackTable::told(Known& known, SpaceId space) {
  if (known.space == space) return true;
  if (known.space == SpaceId::kNone) {
    known.space = space;
    return false;
  }
  if (shared_count_ >= kMostShared) {
    shared_.clear();
    shared_count_ = 0;
  }
  if (!shared_[space].insert(known.id).second) return true;
  ++shared_count_;
  return false;
}

void StackTable::forget(SpaceId space) {
  const std::lock_guard lock(mutex_);
  const auto known = shared_.find(space);
  if (known == shared_.end()) return;
  shared_count_ -= known->second.size();
  shared_.erase(known);
}

size_t StackTable::shared() const {
  const std::lock_guard lock(mutex_);
  return shared_count_;
}

events::Stack StackTable::stack_in(uint32_t slot, SpaceId space) const {
  const mw_stack& shared = stacks_[slot];
  events::Stack stack;
  stack.id = known_[slot].id;
  stack.space = space;
  stack.cut = (shared.flags & MW_STACK_CUT) != 0;
  stack.unreadable = (shared.flags & MW_STACK_UNREADABLE) != 0;
  stack.frames.assign(shared.ip, shared.ip + std::min(shared.n, MW_STACK_FRAMES));
  return stack;
}

void StackTable::lost(StackId id, SpaceId space) {
  const std::lock_guard lock(mutex_);
  lost_[id].insert(space);
}

void StackTable::resend(std::vector<events::Stack>& out) {
  const std::lock_guard lock(mutex_);
  for (uint32_t slot = 0; slot < slots_ && !lost_.empty(); ++slot) {
    const auto lost = lost_.find(known_[slot].id);
    if (lost == lost_.end()) continue;
    for (const SpaceId space : lost->second) out.push_back(stack_in(slot, space));
    lost_.erase(lost);
  }
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
        release(stacks_[slot].n, 0u);
        let_go(known.hash);
        if (on_freed_) on_freed_(slot);
        freed_.fetch_add(1, std::memory_order_relaxed);
      }
      release<mw_u64>(hashes_[slot], keep ? known.tomb : MW_SLOT_EMPTY);
      known = keep ? Slot{known.hash, known.id, known.space, 0, 0} : Slot{};
      --tombs_;
      continue;
    }
    mw_u64 hash = acquire(hashes_[slot]);
    if (keep || !is_hash(hash)) {
      known.idle = 0;
    } else if (++known.idle == 2 && acquire(stacks_[slot].n) != 0 &&
               std::atomic_ref(hashes_[slot]).compare_exchange_strong(hash, MW_SLOT_TOMB)) {
      known.tomb = hash;
      ++tombs_;
    }
  }
}

}  // namespace memwhy::probe
