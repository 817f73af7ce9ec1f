// SPDX-License-Identifier: Apache-2.0
#include "probe/rule_table.h"

#include <algorithm>
#include <cstring>

#include "probe/shared_word.h"

namespace memwhy::probe {
namespace {

constexpr uint32_t kForgetTurns = 50;  // then an address that still has no rule may be sent again

uint64_t group_of(uint32_t slot, uint32_t generation) { return MW_RULE_GROUP(slot, generation); }

// At most MW_CODE_RANGES ranges that cover all of these, with as little between them as can be.
std::vector<mw_code_range> covered(std::span<const AddressRange> executable) {
  std::vector<mw_code_range> all;
  for (const AddressRange& range : executable) all.push_back({range.start, range.end});
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

std::optional<uint32_t> RuleTable::slot_of(SpaceId space) const {
  for (uint32_t slot = 0; slot < shared_.slots; ++slot) {
    mw_space& at = shared_.spaces[slot];
    if (acquire(at.mm) > MW_SLOT_BUSY && SpaceId{at.space} == space) return slot;
  }
  return std::nullopt;
}

std::optional<uint32_t> RuleTable::generation(SpaceId space) const {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot) return std::nullopt;
  return acquire(shared_.code[*slot].generation);
}

void RuleTable::set_code(SpaceId space, std::span<const AddressRange> executable, AddressRange go_code) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot) return;
  mw_space_code& code = shared_.code[*slot];
  const std::vector<mw_code_range> ranges = covered(executable);
  // The kernel side may look at them at any time: none of the old ones, then all of the new ones.
  release<mw_u32>(code.ranges, 0);
  std::copy(ranges.begin(), ranges.end(), code.range);
  if (code.frames_start != go_code.start || code.frames_bytes != go_code.end - go_code.start) {
    release<mw_u64>(code.frames_bytes, 0);
    code.frames_start = go_code.start;
    release<mw_u64>(code.frames_bytes, go_code.end - go_code.start);
  }
  release(code.ranges, static_cast<mw_u32>(ranges.size()));
}

bool RuleTable::publish(SpaceId space, uint32_t generation, std::span<const AddressRule> rules) {
  const std::optional<uint32_t> slot = slot_of(space);
  if (!slot || acquire(shared_.code[*slot].generation) != generation) return false;
  const uint64_t group = group_of(*slot, generation);
  for (const AddressRule& rule : rules) {
    if (rule.address >= MW_RULE_IP) continue;
    const uint64_t key = group | (rule.is_return ? 0 : MW_RULE_IP) | rule.address;
    const uint64_t home = key * shared_.factor >> (64 - MW_RULE_BITS);
    mw_rule* free = nullptr;
    bool known = false;
    for (uint32_t i = 0; i < MW_RULE_PROBES && !known; ++i) {
      mw_rule& at = shared_.rules[(home + i) & (MW_RULES - 1)];
      known = at.key == key;
      if (at.key == 0 && free == nullptr) free = &at;
    }
    if (known) continue;
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

// Rules of slots whose code has changed, all of them: the kernel side uses none of them any more.
void RuleTable::sweep(std::span<const uint32_t> changed) {
  std::vector<bool> gone(MW_SPACES);
  for (const uint32_t slot : changed) gone[slot] = true;
  for (uint32_t i = 0; i < MW_RULES; ++i) {
    mw_rule& rule = shared_.rules[i];
    if (rule.key == 0) continue;
    const auto slot = static_cast<uint32_t>(rule.key >> (MW_RULE_GROUP_SHIFT + 3));
    if (!gone[slot & (MW_SPACES - 1)]) continue;
    const mw_space_code& code = shared_.code[slot & (MW_SPACES - 1)];
    const uint32_t generation = code.generation;
    // After so many the key of an old one reads as that of the new one.
    const bool ambiguous = generation - code.confirmed >= MW_RULE_GENERATIONS;
    if (!ambiguous && rule.key >> MW_RULE_GROUP_SHIFT == group_of(slot, generation) >> MW_RULE_GROUP_SHIFT) continue;
    release<mw_u64>(rule.key, 0);
    --held_;
    --held_by_[slot & (MW_SPACES - 1)];
  }
}

void RuleTable::turn(uint32_t tokens) {
  std::vector<uint32_t> changed;
  std::vector<std::pair<uint32_t, uint32_t>> confirm;
  for (uint32_t slot = 0; slot < shared_.slots; ++slot) {
    mw_space_code& code = shared_.code[slot];
    const uint32_t generation = acquire(code.generation);
    if (generation != code.confirmed) {
      changed.push_back(slot);
      confirm.emplace_back(slot, generation);
    }
    if (acquire(shared_.spaces[slot].mm) > MW_SLOT_BUSY) release(code.tokens, tokens);
  }
  if (!changed.empty()) sweep(changed);
  for (const auto& [slot, generation] : confirm) release(shared_.code[slot].confirmed, generation);
  if (++turns_ % kForgetTurns == 0)
    for (uint32_t i = 0; i < MW_SNAPSHOT_MEMORY; ++i) release<mw_u64>(shared_.asked[i], 0);
}

size_t RuleTable::take(const std::function<void(const Snapshot&)>& use) {
  const uint32_t taken = acquire(*shared_.snapshots_taken);
  if (taken == taken_) return 0;
  size_t found = 0;
  for (uint32_t i = 0; i < MW_SNAPSHOTS; ++i) {
    mw_snapshot& shared = shared_.snapshots[i];
    if (acquire(shared.state) != MW_SNAPSHOT_READY) continue;
    const size_t bytes = std::min<size_t>(shared.bytes, sizeof shared.data);
    const uint64_t group = shared.key >> MW_RULE_GROUP_SHIFT;
    Snapshot snapshot;
    snapshot.space = SpaceId{shared.space};
    snapshot.tgid = static_cast<Pid>(shared.tgid);
    snapshot.ip = shared.ip;
    snapshot.sp = shared.sp;
    snapshot.fp = shared.fp;
    snapshot.stack = shared.stack;
    snapshot.bytes = std::as_bytes(std::span(shared.data, bytes));
    if (const std::optional<uint32_t> now = generation(snapshot.space);
        now && (*now & (MW_RULE_GENERATIONS - 1)) == (group & (MW_RULE_GENERATIONS - 1))) {
      snapshot.generation = *now;
      use(snapshot);
    }
    ::explicit_bzero(shared.data, bytes);
    release(shared.state, MW_SNAPSHOT_FREE);
    ++found;
  }
  // One that is being written at this moment is ready at the next look, though nobody has taken another.
  taken_ = found == 0 ? taken - 1 : taken;
  return found;
}

}  // namespace memwhy::probe
