// SPDX-License-Identifier: Apache-2.0
#include "probe/routes.h"

#include <algorithm>

namespace memwhy::probe {

Routes::Way* Routes::find(SpaceId space, uint32_t port) {
  const auto ways = ways_.find(space);
  if (ways == ways_.end()) return nullptr;
  const auto way = std::find_if(ways->second.begin(), ways->second.end(),
                                [port](const Way& each) { return each.port == port; });
  return way == ways->second.end() ? nullptr : &*way;
}

void Routes::add(SpaceId space, uint32_t port, bool follows) {
  if (Way* const way = find(space, port)) {
    way->follows |= follows;
    way->reads = true;
    return;
  }
  ways_[space].push_back({port, follows, true});
}

bool Routes::start(SpaceId from, SpaceId to, bool followers_only) {
  std::vector<Way> next;
  for (const Way& way : of(from))
    if (way.follows || !followers_only) next.push_back({way.port, way.follows, true});
  if (next.empty()) return false;
  ways_[to] = std::move(next);
  return true;
}

const std::vector<Routes::Way>& Routes::of(SpaceId space) const {
  static const std::vector<Way> nobody;
  const auto ways = ways_.find(space);
  return ways == ways_.end() ? nobody : ways->second;
}

bool Routes::reads_alone(SpaceId space, uint32_t port) const {
  const std::vector<Way>& ways = of(space);
  const auto readers = std::count_if(ways.begin(), ways.end(), [](const Way& way) { return way.reads; });
  return readers == 1 && std::any_of(ways.begin(), ways.end(),
                                     [port](const Way& way) { return way.reads && way.port == port; });
}

bool Routes::is_followed(SpaceId space) const {
  const std::vector<Way>& ways = of(space);
  return std::any_of(ways.begin(), ways.end(), [](const Way& way) { return way.reads && way.follows; });
}

bool Routes::is_read(SpaceId space) const {
  const std::vector<Way>& ways = of(space);
  return std::any_of(ways.begin(), ways.end(), [](const Way& way) { return way.reads; });
}

bool Routes::done(SpaceId space, uint32_t port) {
  Way* const way = find(space, port);
  if (way == nullptr || !way->reads) return false;
  way->reads = false;
  std::deque<SpaceId>& done = done_[port];
  done.push_back(space);
  if (done.size() > kMostDone) {
    const SpaceId oldest = done.front();
    done.pop_front();
    if (const Way* const old = find(oldest, port); old != nullptr && !old->reads) erase(oldest, port);
  }
  return !is_read(space);
}

bool Routes::remove(SpaceId space, uint32_t port) {
  const Way* const way = find(space, port);
  if (way == nullptr) return false;
  const bool read = way->reads;
  erase(space, port);
  return read && !is_read(space);
}

std::vector<SpaceId> Routes::all_of(uint32_t port) const {
  std::vector<SpaceId> all;
  for (const auto& [space, ways] : ways_)
    if (std::any_of(ways.begin(), ways.end(), [port](const Way& way) { return way.port == port; }))
      all.push_back(space);
  std::sort(all.begin(), all.end());
  return all;
}

void Routes::erase(SpaceId space, uint32_t port) {
  const auto ways = ways_.find(space);
  if (ways == ways_.end()) return;
  std::erase_if(ways->second, [port](const Way& way) { return way.port == port; });
  if (ways->second.empty()) ways_.erase(ways);
}

}  // namespace memwhy::probe
