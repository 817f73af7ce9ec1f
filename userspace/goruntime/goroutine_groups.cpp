// SPDX-License-Identifier: Apache-2.0
#include "goruntime/goroutine_groups.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace memwhy::goruntime {
namespace {

struct Group {
  size_t count = 0;
  bool told = false;
  size_t next = 0;  // index of its next member
};

// Of each kind the number of its group, and the groups by where the first of each stands.
std::vector<Group> count_groups(const GoroutineList& list, std::vector<uint32_t>& group_of_kind) {
  constexpr uint32_t kNone = ~uint32_t{0};
  const auto sort_of = [](const GoroutineKind& kind) {
    return std::tuple(kind.known_frames, kind.wait_reason(), kind.created_at);
  };
  // A tree and no hash: the target chooses the creation sites, and could make them collide.
  std::map<decltype(sort_of(list.kinds.front())), uint32_t> numbers;
  std::vector<Group> groups;
  group_of_kind.assign(list.kinds.size(), kNone);
  for (const Goroutine& goroutine : list.goroutines) {
    uint32_t& group = group_of_kind[goroutine.kind];
    if (group == kNone) {
      group = numbers.try_emplace(sort_of(list.kind_of(goroutine)), static_cast<uint32_t>(groups.size()))
                  .first->second;
      if (group == groups.size()) groups.emplace_back();
    }
    ++groups[group].count;
  }
  return groups;
}

}  // namespace

Groups largest_groups(const GoroutineList& list, size_t most) {
  std::vector<uint32_t> group_of_kind;
  std::vector<Group> groups = count_groups(list, group_of_kind);
  std::vector<Group*> largest;
  for (Group& group : groups) largest.push_back(&group);
  if (largest.size() > most) {
    std::nth_element(
        largest.begin(), largest.begin() + static_cast<std::ptrdiff_t>(most), largest.end(),
        [](const Group* a, const Group* b) { return a->count != b->count ? a->count > b->count : a < b; });
    largest.resize(most);
    std::sort(largest.begin(), largest.end());
  }
  Groups out;
  out.all = groups.size();
  size_t end = 0;
  for (Group* group : largest) {
    group->told = true;
    group->next = end;
    end += group->count;
  }
  out.indexes.resize(end);
  for (const Group* group : largest)
    out.members.push_back(Members(out.indexes).subspan(group->next, group->count));
  for (size_t i = 0; i < list.goroutines.size(); ++i)
    if (Group& group = groups[group_of_kind[list.goroutines[i].kind]]; group.told)
      out.indexes[group.next++] = static_cast<uint32_t>(i);
  return out;
}

std::vector<uint32_t> in_no_group(const GoroutineList& list, std::span<const Members> groups) {
  std::vector<bool> grouped(list.goroutines.size());
  for (const Members& group : groups)
    for (const uint32_t i : group) grouped[i] = true;
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < grouped.size(); ++i)
    if (!grouped[i]) out.push_back(i);
  return out;
}

bool all_parked(const GoroutineList& list, Members members) {
  return std::all_of(members.begin(), members.end(), [&](uint32_t i) {
    const GoroutineKind& kind = list.kind_of(list.goroutines[i]);
    return waits(kind.status) && !kind.frames().empty();
  });
}

}  // namespace memwhy::goruntime
