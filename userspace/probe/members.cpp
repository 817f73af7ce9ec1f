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
  if (space != SpaceId::kNone) told_[tgid] = space;
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
  std::erase_if(told_, [&](const auto& told) { return told.second == space; });
  late_.erase(space);
}

bool Members::deliver(const events::Event& event) {
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
    const std::scoped_lock lock(mutex_);
    if (late_.erase(start->space) != 0) return false;
    told_[start->tgid] = start->space;
  } else if (const auto* exit = std::get_if<events::ProcessExit>(&event.payload)) {
    const std::scoped_lock lock(mutex_);
    told_.erase(exit->tgid);
    late_.erase(exit->space);
  }
  return true;
}

std::vector<events::SpaceStart> Members::recover() {
  const std::scoped_lock lock(mutex_);
  std::vector<events::SpaceStart> out;
  each_member(map_, [&](int32_t tgid, const mw_member& member) {
    const SpaceId space{member.space};
    const auto told = told_.find(tgid);
    // A borrowed space is its owner's; of one that has ended there is nothing to tell.
    if ((member.flags & MW_MEMBER_BORROWED) != 0 || (told != told_.end() && told->second == space) ||
        !lives_(space))
      return;
    events::SpaceStart start;
    start.space = space;
    start.tgid = tgid;
    start.how = told == told_.end() ? events::StartHow::kForked : events::StartHow::kExeced;
    start.parent = told == told_.end() ? SpaceId::kNone : told->second;
    out.push_back(std::move(start));
    told_[tgid] = space;
    late_.insert(space);
  });
  return out;
}

}  // namespace memwhy::probe
