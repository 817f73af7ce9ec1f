// SPDX-License-Identifier: Apache-2.0
#include "probe/stack_table.h"

#include <algorithm>
#include <span>

#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

// Of stacks that more than one listener has, so many are remembered for all further ones together; then they are given
// again, which costs time and no more.
constexpr size_t kMostShared = 1 << 18;

events::Unwind unwind_of(uint32_t flags) {
  if ((flags & MW_STACK_MISS) != 0) return events::Unwind::kFramePointers;
  if ((flags & MW_STACK_GUESS) != 0) return events::Unwind::kGuess;
  if ((flags & MW_STACK_JIT) != 0)
    return (flags & MW_STACK_WHOLE) != 0 ? events::Unwind::kJit : events::Unwind::kGuess;
  return (flags & MW_STACK_WHOLE) != 0 ? events::Unwind::kWhole : events::Unwind::kStopped;
}

bool begins_with(std::span<const uint64_t> frames, std::span<const uint64_t> first) {
  return frames.size() >= first.size() && std::equal(first.begin(), first.end(), frames.begin());
}

bool is_hash(uint64_t word) { return word != MW_SLOT_EMPTY && word != MW_SLOT_TOMB; }

}  // namespace

StackTable::StackTable(mw_u64* hashes, mw_stack* stacks, uint32_t slots, std::function<void(uint32_t)> freed,
                       bool rules, StackNodes nodes)
    : hashes_(hashes),
      stacks_(stacks),
      slots_(slots),
      rules_(rules),
      nodes_(std::move(nodes)),
      on_freed_(std::move(freed)),
      known_(slots) {}

std::optional<StackId> StackTable::resolve(uint32_t slot, Listener listener,
                                           std::vector<events::Stack>& fresh) {
  if (slot == MW_ENTRY_STACK_LOST) return StackId::kLost;
  if (slot >= slots_) return StackId::kNone;
  const std::lock_guard lock(mutex_);
  Slot& known = known_[slot];
  const uint64_t hash = acquire(hashes_[slot]);
  const bool same = known.id != StackId::kNone && (hash == known.hash || !is_hash(hash));
  if (same && known.listener == listener) return known.id;
  if (!same) {
    if (!is_hash(hash)) return StackId::kNone;
    if (!is_written(slot)) return std::nullopt;
    const auto [entry, is_new] = ids_.try_emplace(hash, Known{StackId{last_id_ + 1}, 0, {}, 0});
    if (is_new) ++last_id_;
    ++entry->second.slots;
    known = {hash, entry->second.id, listener, 0, 0};
  }
  known.listener = listener;
  if (const auto entry = ids_.find(known.hash); entry != ids_.end() && !given(entry->second, listener))
    fresh.push_back(stack_in(slot, listener.space));
  return known.id;
}

// And each of its outer frames, which another program may have begun.
bool StackTable::is_written(uint32_t slot) const {
  const uint32_t n = acquire(stacks_[slot].n);
  return n != 0 &&
         (n <= MW_INNER_FRAMES || nodes_.frames(stacks_[slot]).size() == std::min(n, MW_STACK_FRAMES));
}

// Did this listener get it before? From now on it did.
bool StackTable::given(Known& known, Listener listener) {
  if (known.listener == listener) return true;
  if (known.listener.space == SpaceId::kNone) {
    known.listener = listener;
    return false;
  }
  if (shared_count_ >= kMostShared) {
    shared_.clear();
    shared_count_ = 0;
  }
  if (!shared_[listener].insert(known.id).second) return true;
  ++shared_count_;
  return false;
}

void StackTable::forget(Listener listener) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, listeners] : lost_) listeners.erase(listener);
  const auto known = shared_.find(listener);
  if (known == shared_.end()) return;
  shared_count_ -= known->second.size();
  shared_.erase(known);
}

size_t StackTable::shared() const {
  const std::lock_guard lock(mutex_);
  return shared_count_;
}

events::Stack StackTable::stack_in(uint32_t slot, SpaceId space) const {
  mw_stack& shared = stacks_[slot];
  events::Stack stack;
  stack.id = known_[slot].id;
  stack.space = space;
  stack.cut = (shared.flags & MW_STACK_CUT) != 0;
  stack.unreadable = (shared.flags & MW_STACK_UNREADABLE) != 0;
  stack.unwind = rules_ ? unwind_of(shared.flags) : events::Unwind::kFramePointers;
  stack.certain = rules_ ? shared.flags >> MW_STACK_CERTAIN_SHIFT : 0;
  const auto found = completed_.find(known_[slot].hash);
  if (found != completed_.end()) stack.unwind = found->second.how;
  if (found != completed_.end() && !found->second.frames.empty()) {
    stack.frames = found->second.frames;
    stack.cut = stack.unreadable = false;
    stack.certain = 0;
  } else {
    stack.frames = nodes_.frames(shared);
  }
  return stack;
}

bool StackTable::Completion::add(std::vector<uint64_t> more, events::Unwind by) {
  using events::Unwind;
  if (how == Unwind::kSeveral) return false;
  const bool is_known = more == frames && (how == by || by == Unwind::kStopped);
  if (is_known || (by == Unwind::kStopped && begins_with(frames, more))) return false;
  const bool goes_on = frames.empty() || (how == Unwind::kStopped && begins_with(more, frames));
  *this = goes_on ? Completion{std::move(more), by} : Completion{{}, Unwind::kSeveral};
  return true;
}

std::vector<std::pair<Listener, events::Stack>> StackTable::complete(uint32_t slot,
                                                                     std::vector<uint64_t> frames,
                                                                     events::Unwind how) {
  std::vector<std::pair<Listener, events::Stack>> again;
  if (slot >= slots_) return again;
  const std::lock_guard lock(mutex_);
  const uint64_t hash = acquire(hashes_[slot]);
  if (!is_hash(hash) || acquire(stacks_[slot].n) == 0) return again;
  const uint32_t count = std::max(stacks_[slot].flags >> MW_STACK_CERTAIN_SHIFT, 1u);
  const std::vector<uint64_t> walked = nodes_.frames(stacks_[slot]);
  const auto certain = std::span(walked).first(std::min<size_t>(count, walked.size()));
  // The snapshot may have waited until another stack had the slot.
  if (certain.empty() || !begins_with(frames, certain)) return again;
  // A copy that ends sooner than the walk by frame pointers, and agrees with it: Go's runtime on the stack of a thread.
  if (how == events::Unwind::kStopped && begins_with(walked, frames)) return again;
  if (!completed_[hash].add(std::move(frames), how)) return again;
  if (known_[slot].hash != hash) return again;  // it was not emitted yet
  const StackId id = known_[slot].id;
  if (const auto known = ids_.find(hash);
      known != ids_.end() && known->second.listener.space != SpaceId::kNone)
    again.emplace_back(known->second.listener, stack_in(slot, known->second.listener.space));
  for (const auto& [listener, given] : shared_)
    if (given.contains(id)) again.emplace_back(listener, stack_in(slot, listener.space));
  return again;
}

void StackTable::lost(StackId id, Listener listener) {
  const std::lock_guard lock(mutex_);
  lost_[id].insert(listener);
}

void StackTable::resend(uint32_t port, std::vector<events::Stack>& out) {
  const std::lock_guard lock(mutex_);
  if (lost_.empty()) return;
  const auto mine = [port](const Listener& listener) { return listener.port == port; };
  for (uint32_t slot = 0; slot < slots_; ++slot) {
    const auto lost = lost_.find(known_[slot].id);
    if (lost == lost_.end()) continue;
    for (const Listener& listener : lost->second)
      if (mine(listener)) out.push_back(stack_in(slot, listener.space));
    std::erase_if(lost->second, mine);  // another slot may hold it too
  }
  for (auto& [id, listeners] : lost_)
    std::erase_if(listeners, mine);  // of stacks that no slot holds any more
  std::erase_if(lost_, [](const auto& lost) { return lost.second.empty(); });
}

// A slot that held this stack was freed. What came back since it was let go is not the oldest.
void StackTable::let_go(uint64_t hash) {
  const auto known = ids_.find(hash);
  if (known == ids_.end() || --known->second.slots > 0) return;  // never named, or in another slot too
  completed_.erase(hash);
  known->second.let_go = ++let_go_count_;
  let_go_.push_back(hash);
  if (let_go_.size() <= slots_) return;
  const auto oldest = ids_.find(let_go_.front());
  if (oldest != ids_.end() && oldest->second.slots == 0 && oldest->second.let_go + slots_ == let_go_count_)
    ids_.erase(oldest);
  let_go_.pop_front();
}

// All nodes are looked at, so not at each pass: at those after a slot was freed, and now and then, for nodes whose stack found no
// slot.
void StackTable::sweep_nodes(bool any_freed) {
  constexpr uint32_t kToFree = 3, kNowAndThen = 16;
  if (any_freed || node_passes_ == kNowAndThen) node_passes_ = 0;
  if (node_passes_++ >= kToFree && !nodes_.has_tombs()) return;
  nodes_.sweep(stacks_, slots_);
}

void StackTable::sweep(const std::vector<bool>& named) {
  const std::lock_guard lock(mutex_);
  const uint64_t freed_before = freed();
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
      known = keep ? Slot{known.hash, known.id, known.listener, 0, 0} : Slot{};
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
  sweep_nodes(freed() != freed_before);
}

}  // namespace memwhy::probe
