// SPDX-License-Identifier: Apache-2.0
#include "probe/members.h"

#include <bpf/bpf.h>

#include "memwhy/abi/table.h"

namespace memwhy::probe {

namespace {

template <typename Visit>  // visit(tgid, member)
void each_member(int map, Visit visit) {
  int32_t key = 0;
  for (const int32_t* from = nullptr; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
    mw_member member{};
    if (bpf_map_lookup_elem(map, &key, &member) == 0) visit(key, member);
  }
}

}  // namespace

SpaceId Members::claim(Pid tgid, const std::function<SpaceId()>& claim) {
  const std::scoped_lock lock(mutex_);
  const SpaceId space = claim();
  if (space != SpaceId::kNone) passed_[tgid] = space;
  return space;
}

bool Members::any() const {
  int32_t first = 0;
  return bpf_map_get_next_key(map_, nullptr, &first) == 0;
}

void Members::forget(SpaceId space) {
  const std::scoped_lock lock(mutex_);
  std::vector<int32_t> gone;
  each_member(map_, [&](int32_t tgid, const mw_member& member) {
    if (SpaceId{member.space} == space) gone.push_back(tgid);
  });
  for (const int32_t tgid : gone) bpf_map_delete_elem(map_, &tgid);
  std::erase_if(passed_, [&](const auto& passed) { return passed.second == space; });
  late_.erase(space);
}

bool Members::started(Pid tgid, SpaceId space) {
  const std::scoped_lock lock(mutex_);
  if (late_.erase(space) != 0) return false;
  passed_[tgid] = space;
  return true;
}

void Members::exited(Pid tgid, SpaceId space) {
  const std::scoped_lock lock(mutex_);
  passed_.erase(tgid);
  late_.erase(space);
}

std::vector<Members::Recovered> Members::recover() {
  const std::scoped_lock lock(mutex_);
  std::vector<Recovered> out;
  each_member(map_, [&](int32_t tgid, const mw_member& member) {
    const SpaceId space{member.space};
    const auto passed = passed_.find(tgid);
    const bool known = passed != passed_.end();
    // A borrowed space is its owner's; of one that has ended there is nothing to report.
    if ((member.flags & MW_MEMBER_BORROWED) != 0 || (known && passed->second == space) || !lives_(space))
      return;
    Recovered lost;
    lost.start.space = space;
    lost.start.tgid = tgid;
    lost.start.how = known ? events::StartHow::kExeced : events::StartHow::kForked;
    lost.start.parent = known ? passed->second : SpaceId::kNone;
    lost.from = known ? passed->second : SpaceId{member.from};
    out.push_back(std::move(lost));
    passed_[tgid] = space;
    late_.insert(space);
  });
  return out;
}

}  // namespace memwhy::probe
