// SPDX-License-Identifier: Apache-2.0
#include "goruntime/goroutine_groups.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

namespace memwhy::goruntime {
namespace {

// What the goroutines of a group have in common.
auto sort_of(const Goroutine& goroutine) {
  return std::tuple(goroutine.known_frames, goroutine.wait_reason(), goroutine.created_at);
}

}  // namespace

// A tree and no hash: the target chooses the creation sites, and could make them collide.
Groups largest_groups(const std::vector<Goroutine>& list, size_t most) {
  struct Group {
    size_t count = 0;
    std::vector<size_t>* members = nullptr;
  };
  std::map<decltype(sort_of(list.front())), uint32_t> numbers;
  std::vector<Group> groups;  // by the place of the first of each
  std::vector<uint32_t> group_of(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const auto [known, fresh] = numbers.try_emplace(sort_of(list[i]), static_cast<uint32_t>(groups.size()));
    if (fresh) groups.emplace_back();
    group_of[i] = known->second;
    ++groups[known->second].count;
  }
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
  out.members.resize(largest.size());
  for (size_t k = 0; k < largest.size(); ++k) {
    largest[k]->members = &out.members[k];
    out.members[k].reserve(largest[k]->count);
  }
  for (size_t i = 0; i < list.size(); ++i)
    if (std::vector<size_t>* members = groups[group_of[i]].members) members->push_back(i);
  return out;
}

}  // namespace memwhy::goruntime
