// SPDX-License-Identifier: Apache-2.0
#include "timeline/map_sites.h"

#include <algorithm>

namespace memwhy::timeline {

std::vector<MapSite>::iterator MapSites::first_ending_after(uint64_t address) {
  return std::partition_point(sites_.begin(), sites_.end(),
                              [address](const MapSite& site) { return site.range.end <= address; });
}

MapSites MapSites::departed(TimeNs since) const {
  MapSites sites;
  for (const Departed& departed : departed_)
    if (departed.time >= since) sites.put(departed.site);
  return sites;
}

void MapSites::forget_departed(TimeNs before) {
  std::erase_if(departed_, [before](const Departed& departed) { return departed.time < before; });
  if (departed_.empty()) departed_ = {};
}

size_t MapSites::memory_bytes() const {
  return sites_.capacity() * sizeof(MapSite) + departed_.capacity() * sizeof(Departed);
}

void MapSites::cut(AddressRange range, TimeNs time) {
  if (range.empty()) return;
  remember(range, time);
  erase(range);
}

// What is in the range, before it goes.
void MapSites::remember(AddressRange range, TimeNs time) {
  for (auto at = first_ending_after(range.start); at != sites_.end() && at->range.start < range.end; ++at) {
    if (departed_.size() >= kMaxDeparted)
      departed_.erase(departed_.begin(), departed_.begin() + kMaxDeparted / 2);
    departed_.push_back({time, *at});
    AddressRange& part = departed_.back().site.range;
    part = {std::max(part.start, range.start), std::min(part.end, range.end)};
  }
}

void MapSites::erase(AddressRange range) {
  auto it = first_ending_after(range.start);
  if (it == sites_.end() || it->range.start >= range.end) return;
  if (it->range.start < range.start) {
    if (it->range.end > range.end) {  // a hole inside one
      MapSite tail = *it;
      tail.range.start = range.end;
      it->range.end = range.start;
      sites_.insert(it + 1, tail);
      return;
    }
    it->range.end = range.start;
    ++it;
  }
  auto last = it;
  while (last != sites_.end() && last->range.end <= range.end) ++last;
  if (last != sites_.end() && last->range.start < range.end) last->range.start = range.end;
  sites_.erase(it, last);
}

void MapSites::add(const MapSite& site) {
  if (site.range.empty()) return;
  remember(site.range, site.time);
  put(site);
}

void MapSites::put(const MapSite& site) {
  erase(site.range);
  if (sites_.size() >= kMax) return;  // more than a kernel allows: without a site its pages are "unknown"
  sites_.insert(first_ending_after(site.range.start), site);
}

void MapSites::move(AddressRange from, AddressRange to, const MapSite& by) {
  if (from.empty() || to.empty()) return;
  if (from.start == to.start) {  // in place: the maker stays, the growth is the mremap's
    if (to.end < from.end) return cut({to.end, from.end}, by.time);
    MapSite growth = by;
    growth.range = {from.end, to.end};
    if (find(from.start) == nullptr) growth.range.start = from.start;  // mapped before anybody looked
    return add(growth);
  }
  std::vector<MapSite> carried;
  for (auto it = first_ending_after(from.start); it != sites_.end() && it->range.start < from.end; ++it) {
    MapSite site = *it;
    site.range.start = std::max(site.range.start, from.start) - from.start;
    site.range.end = std::min(std::min(site.range.end, from.end) - from.start, to.bytes());
    site.range.start += to.start;
    site.range.end += to.start;
    if (!site.range.empty()) carried.push_back(site);
  }
  cut(from, by.time);
  MapSite whole = by;
  whole.range = to;
  add(whole);
  for (const MapSite& site : carried) put(site);
}

void MapSites::clip(const std::vector<events::Vma>& vmas, TimeNs newer) {
  std::vector<MapSite> kept;
  kept.reserve(sites_.size());
  auto vma = vmas.begin();
  for (const MapSite& site : sites_) {
    if (site.time > newer) {
      kept.push_back(site);
      continue;
    }
    while (vma != vmas.end() && vma->range.end <= site.range.start) ++vma;
    for (auto it = vma; it != vmas.end() && it->range.start < site.range.end; ++it) {
      MapSite part = site;
      part.range.start = std::max(site.range.start, it->range.start);
      part.range.end = std::min(site.range.end, it->range.end);
      if (part.range.empty()) continue;
      if (!kept.empty() && kept.back().range.end == part.range.start &&
          kept.back().range.start >= site.range.start) {
        kept.back().range.end = part.range.end;  // one site over several mappings (mprotect splits them)
      } else if (kept.empty() || kept.back().range.end <= part.range.start) {
        kept.push_back(part);
      }
    }
  }
  if (kept.size() <= kMax) sites_ = std::move(kept);
}

const MapSite* MapSites::find(uint64_t address) const {
  const auto it = std::partition_point(sites_.begin(), sites_.end(),
                                       [address](const MapSite& site) { return site.range.end <= address; });
  return it != sites_.end() && it->range.start <= address ? &*it : nullptr;
}

}  // namespace memwhy::timeline
