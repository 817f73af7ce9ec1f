// SPDX-License-Identifier: Apache-2.0
#include "probe/rule_table.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

constexpr uint32_t kForgetTurns = 50;  // then an address that still has no rule may be sent again

constexpr uint32_t kLookAgainTurns = 1000;  // then what was no code may be some

// Who has a place in the ring, and is held up before it says so, has done so when so many more have one.
constexpr uint32_t kLate = 64;

constexpr mw_code_range kNoRange{INT64_MAX, INT64_MAX};  // the kernel side compares by the sign

uint64_t group_of(uint32_t slot, uint32_t generation) { return MW_RULE_GROUP(slot, generation); }

uint32_t slot_of_key(uint64_t key) {
  return static_cast<uint32_t>(key >> (MW_RULE_GROUP_SHIFT + 3)) & (MW_SPACES - 1);
}

// Max MW_CODE_RANGES ranges, in order, that cover all of these, with as little as possible between them.
std::vector<mw_code_range> covered(std::span<const AddressRange> executable) {
  std::vector<mw_code_range> all;
  for (const AddressRange& range : executable)
    if (range.start < kNoRange.start) all.push_back({range.start, range.end});  // not vsyscall
  std::sort(all.begin(), all.end(),
            [](const mw_code_range& a, const mw_code_range& b) { return a.start < b.start; });
  while (all.size() > MW_CODE_RANGES) {
    size_t nearest = 1;
    for (size_t i = 2; i < all.size(); ++i)
      if (all[i].start - all[i - 1].end < all[nearest].start - all[nearest - 1].end) nearest = i;
    all[nearest - 1].end = std::max(all[nearest - 1].end, all[nearest].end);
    all.erase(all.begin() + static_cast<ptrdiff_t>(nearest));
  }
  return all;
}

}  // namespace

// Asked for several times for each snapshot: where it was last time is looked at first.
std::optional<uint32_t> RuleTable::slot_of(SpaceId space) const {
  const auto is_in = [&](uint32_t slot) {
    mw_space& at = shared_.spaces[slot];
    return acquire(at.mm) > MW_SLOT_BUSY && SpaceId{at.space} == space;
  };
  if (const auto last = slots_.find(space); last != slots_.end() && is_in(last->second)) return last->second;
  if (slots_.size() > MW_SPACES) slots_.clear();
  for (uint32_t slot = 0; slot < shared_.slots; ++slot) {
    if (!is_in(slot)) continue;
    slots_[space] = slot;
    return slot;
  }
  slots_.erase(space);
  return std::nullopt;
}

std::optional<uint32_t> RuleTable::generation(SpaceId space) const {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot) return std::nullopt;
  return acquire(shared_.code[*slot].generation);
}

uint32_t RuleTable::mapped(SpaceId space) const {
  const std::optional<uint32_t> slot = slot_of(space);
  return slot ? acquire(shared_.code[*slot].mapped) : 0;
}

void RuleTable::set_code(SpaceId space, std::span<const AddressRange> executable, AddressRange go_code,
                         uint32_t mapped) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot) return;
  mw_space_code& code = shared_.code[*slot];
  const std::vector<mw_code_range> ranges = covered(executable);
  // The kernel side may look at them at any time: none of the old ones, then all of the new ones.
  const auto same = [](const mw_code_range& a, const mw_code_range& b) {
    return a.start == b.start && a.end == b.end;
  };
  if (!std::equal(ranges.begin(), ranges.end(), code.range, code.range + code.ranges, same))
    forget_looked_at();
  release<mw_u32>(code.ranges, 0);
  std::fill(std::copy(ranges.begin(), ranges.end(), code.range), std::end(code.range), kNoRange);
  code.described = mapped;
  if (code.frames_start != go_code.start || code.frames_bytes != go_code.end - go_code.start) {
    release<mw_u64>(code.frames_bytes, 0);
    code.frames_start = go_code.start;
    release<mw_u64>(code.frames_bytes, go_code.end - go_code.start);
  }
  release(code.ranges, static_cast<mw_u32>(ranges.size()));
}

// Trails of walks that ended where another stack begins must not be found any more.
void RuleTable::switches_stacks(SpaceId space) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (slot && (std::atomic_ref(shared_.spaces[*slot].flags).fetch_or(MW_SPACE_GO) & MW_SPACE_GO) == 0)
    forget_trails(*slot);
}

bool RuleTable::publish(SpaceId space, uint32_t generation, std::span<const AddressRule> rules) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot || acquire(shared_.code[*slot].generation) != generation) return false;
  const uint64_t group = group_of(*slot, generation);
  for (const AddressRule& rule : rules) {
    if (rule.address >= MW_RULE_IP) continue;
    const uint64_t key = group | (rule.is_return ? 0 : MW_RULE_IP) | rule.address;
    mw_rule* free = nullptr;
    if (rule_of(key, free) != nullptr) continue;
    if (free == nullptr || held_ + held_by_[*slot] >= kMost) {
      ++refused_;
      continue;
    }
    free->rule = rule.rule;
    free->next = static_cast<mw_u32>((free - shared_.rules) * sizeof(mw_rule));
    release(free->key, static_cast<mw_u64>(key));
    ++held_;
    ++held_by_[*slot];
  }
  return true;
}

// free: the first place where one for this key may be written, if there is one.
mw_rule* RuleTable::rule_of(uint64_t key, mw_rule*& free) const {
  const uint64_t home = key * shared_.factor >> (64 - MW_RULE_BITS);
  for (uint32_t i = 0; i < MW_RULE_PROBES; ++i) {
    mw_rule& at = shared_.rules[(home + i) & (MW_RULES - 1)];
    if (at.key == key) return &at;
    if (at.key == 0 && free == nullptr) free = &at;
  }
  return nullptr;
}

void RuleTable::looked_at(SpaceId space, uint32_t generation, uint64_t key) {
  const std::optional<uint32_t> slot = slot_of(space);
  mw_rule* free = nullptr;
  if (!slot || acquire(shared_.code[*slot].generation) != generation || rule_of(key, free) != nullptr) return;
  release(shared_.looked_at[MW_LOOKED_AT(key, shared_.factor)], static_cast<mw_u64>(key));
}

void RuleTable::forget_looked_at() {
  for (uint32_t i = 0; i < 1u << MW_LOOKED_AT_BITS; ++i) release<mw_u64>(shared_.looked_at[i], 0);
}

// Is this key of an earlier generation of one of these slots? After MW_RULE_GENERATIONS that are not confirmed every key
// may be.
bool RuleTable::is_over(uint64_t key, const std::vector<bool>& changed) const {
  const uint32_t slot = slot_of_key(key);
  if (key == 0 || !changed[slot]) return false;
  const mw_space_code& code = shared_.code[slot];
  const uint32_t now = acquire(shared_.code[slot].generation);
  return now - code.confirmed >= MW_RULE_GENERATIONS ||
         key >> MW_RULE_GROUP_SHIFT != group_of(slot, now) >> MW_RULE_GROUP_SHIFT;
}

// Rules of slots whose code has changed, all of them: the kernel side uses none of them any more. And trails, which were
// found by such rules: a later generation may have the same key.
void RuleTable::sweep(std::span<const Change> changed) {
  std::vector<bool> all(MW_SPACES);
  for (const Change& change : changed) all[change.slot] = true;
  for (uint32_t i = 0; i < MW_RULES; ++i) {
    mw_rule& rule = shared_.rules[i];
    if (is_over(rule.key, all)) remove(rule);
  }
  for (uint32_t i = 0; i < MW_TRAILS; ++i)
    if (is_over(acquire(shared_.trails[i].key), all)) release<mw_u64>(shared_.trails[i].key, 0);
}

void RuleTable::remove(mw_rule& rule) {
  --held_;
  --held_by_[slot_of_key(rule.key)];
  release<mw_u64>(rule.key, 0);
}

void RuleTable::withdraw(SpaceId space, std::span<const AddressRange> code) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot) return;
  for (uint32_t i = 0; i < MW_RULES; ++i) {
    mw_rule& rule = shared_.rules[i];
    if (rule.key == 0 || slot_of_key(rule.key) != *slot) continue;
    const uint64_t address = rule.key & (MW_RULE_IP - 1), is_return = (rule.key & MW_RULE_IP) == 0 ? 1 : 0;
    if (std::ranges::any_of(code, [&](const AddressRange& one) { return one.contains(address - is_return); }))
      remove(rule);
  }
  forget_trails(*slot);
}

void RuleTable::forget_trails(uint32_t slot) {
  for (uint32_t i = 0; i < MW_TRAILS; ++i)
    if (const uint64_t key = acquire(shared_.trails[i].key); key != 0 && slot_of_key(key) == slot)
      release<mw_u64>(shared_.trails[i].key, 0);
}

void RuleTable::turn(uint32_t tokens) {
  allow(tokens);
  if (++turns_ % kLookAgainTurns == 0) forget_looked_at();
  if (turns_ % kForgetTurns == 0)
    for (uint32_t i = 0; i < MW_SNAPSHOT_MEMORY; ++i) release<mw_u64>(shared_.asked[i], 0);
  const uint32_t changes = acquire(*shared_.code_changes);
  if (changes == changes_) return;
  changes_ = changes;
  std::vector<Change> changed;
  for (uint32_t slot = 0; slot < shared_.slots; ++slot) {
    const uint32_t generation = acquire(shared_.code[slot].generation);
    if (generation != shared_.code[slot].confirmed) changed.push_back({slot, generation});
  }
  sweep(changed);
  forget_looked_at();
  for (const Change& change : changed) release(shared_.code[change.slot].confirmed, change.generation);
}

// While none is sent, none is used up. One that began when nobody learned yet gets its own in the end.
void RuleTable::allow(uint32_t tokens) {
  const uint32_t taken = acquire(*shared_.snapshots_taken);
  if (tokens == allowed_ && taken == taken_at_turn_ && turns_ % kForgetTurns != 0) return;
  allowed_ = tokens;
  taken_at_turn_ = taken;
  for (uint32_t slot = 0; slot < shared_.slots; ++slot)
    if (acquire(shared_.spaces[slot].mm) > MW_SLOT_BUSY) release(shared_.code[slot].tokens, tokens);
}

size_t RuleTable::take(const std::function<void(std::span<const Snapshot>)>& use, size_t most) {
  const uint32_t taken = acquire(*shared_.snapshots_taken);
  if (taken == taken_) return 0;
  std::vector<mw_snapshot*> found;
  std::vector<Snapshot> good;
  std::optional<uint32_t> coming;  // the first that is being written
  uint32_t at = taken - std::min(taken - next_ + kLate, MW_SNAPSHOTS);
  for (; at != taken && found.size() < most; ++at) {
    mw_snapshot& shared = shared_.snapshots[at & (MW_SNAPSHOTS - 1)];
    const uint32_t state = acquire(shared.state);
    if (state == MW_SNAPSHOT_BUSY && !coming) coming = at;
    if (state != MW_SNAPSHOT_READY) continue;
    found.push_back(&shared);
    if (const std::optional<Snapshot> one = read(shared)) good.push_back(*one);
  }
  next_ = coming.value_or(at);
  if (!good.empty()) use(good);
  for (mw_snapshot* const shared : found) {
    ::explicit_bzero(shared->data, std::min<size_t>(shared->bytes, sizeof shared->data));
    release(shared->state, MW_SNAPSHOT_FREE);
  }
  taken_ = next_ == taken ? taken : taken - 1;
  return found.size();
}

// nullopt: of code that has changed since.
std::optional<Snapshot> RuleTable::read(const mw_snapshot& shared) const {
  Snapshot snapshot;
  snapshot.space = SpaceId{shared.space};
  const std::optional<uint32_t> now = generation(snapshot.space);
  const uint64_t group = shared.key >> MW_RULE_GROUP_SHIFT;
  if (!now || (*now & (MW_RULE_GENERATIONS - 1)) != (group & (MW_RULE_GENERATIONS - 1))) return std::nullopt;
  snapshot.generation = *now;
  snapshot.key = shared.key;
  snapshot.tgid = static_cast<Pid>(shared.tgid);
  snapshot.ip = shared.ip;
  snapshot.sp = shared.sp;
  snapshot.fp = shared.fp;
  snapshot.is_return = (shared.key & MW_RULE_IP) == 0 && shared.ip == (shared.key & (MW_RULE_IP - 1)) &&
                       shared.stack == MW_ENTRY_STACK_LOST;
  snapshot.stack = shared.stack;
  snapshot.address = shared.sp + shared.absent;
  snapshot.bytes = std::as_bytes(std::span(shared.data, std::min<size_t>(shared.bytes, sizeof shared.data)));
  if (shared.unwatched != 0) snapshot.unwatched = shared.mapped;
  return snapshot;
}

}  // namespace memwhy::probe
