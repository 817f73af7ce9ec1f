// SPDX-License-Identifier: Apache-2.0
#include "timeline/map_sites.h"

#include <algorithm>

namespace memwhy::timeline {
namespace {

// Whether one site can replace both. Of MAP_POPULATE the time of each counts.
bool same_maker(const MapSite& a, const MapSite& b) {
  return a.stack == b.stack && a.prot == b.prot && a.flags == b.flags && a.what == b.what &&
         (a.flags & kMapPopulate) == 0;
}

}  // namespace

std::vector<MapSite> MapSites::all() const {
  std::vector<MapSite> sites;
  sites.reserve(sites_.size());
  sites_.each([&](const MapSite& site) { sites.push_back(site); });
  return sites;
}

MapSites MapSites::departed(TimeNs since) const {
  MapSites sites;
  for (const Departed& departed : departed_)
    if (departed.time >= since) sites.put(departed.site);
  return sites;
}

void MapSites::forget_departed(TimeNs before) {
  std::erase_if(departed_, [before](const Departed& departed) { return departed.time < before; });
  if (departed_.empty()) departed_ = std::vector<Departed>();
}

size_t MapSites::memory_bytes() const {
  return sites_.memory_bytes() + departed_.capacity() * sizeof(Departed);
}

void MapSites::cut(AddressRange range, TimeNs time) {
  if (range.empty()) return;
  remember(range, time);
  sites_.clear(range.start, range.end);
}

// What is in the range, before it goes.
void MapSites::remember(AddressRange range, TimeNs time) {
  sites_.each(range.start, range.end, [&](const MapSite& site) {
    const AddressRange part = {std::max(site.range.start, range.start), std::min(site.range.end, range.end)};
    if (!departed_.empty() && departed_.back().time == time &&
        departed_.back().site.range.end == part.start && same_maker(departed_.back().site, site)) {
      departed_.back().site.range.end = part.end;
      return;
    }
    if (departed_.size() >= kMaxDeparted)
      departed_.erase(departed_.begin(), departed_.begin() + kMaxDeparted / 2);
    departed_.push_back({time, site});
    departed_.back().site.range = part;
  });
}

void MapSites::add(const MapSite& site) {
  if (site.range.empty()) return;
  remember(site.range, site.time);
  put(site);
}

void MapSites::put(const MapSite& site) {
  if (sites_.size() < kMax) return sites_.put(site);
  sites_.clear(site.range.start, site.range.end);
  if (sites_.size() < kMax)
    sites_.put(site);  // more than a kernel allows: without a site its pages are "unknown"
}

void MapSites::move(AddressRange from, AddressRange to, const MapSite& by) {
  if (from.empty() || to.empty()) return;
  if (from.start == to.start) {  // in place: the maker stays, the growth is the mremap's
    if (to.end < from.end) return cut({to.end, from.end}, by.time);
    MapSite growth = by;
    growth.range = {from.end, to.end};
    if (find(from.start) == nullptr) growth.range.start = from.start;  // mapped before the recording
    return add(growth);
  }
  std::vector<MapSite> carried;
  sites_.each(from.start, from.end, [&](MapSite site) {
    site.range.start = std::max(site.range.start, from.start) - from.start;
    site.range.end = std::min(std::min(site.range.end, from.end) - from.start, to.bytes());
    site.range.start += to.start;
    site.range.end += to.start;
    if (!site.range.empty()) carried.push_back(site);
  });
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
  sites_.each([&](const MapSite& site) {
    if (site.time > newer) {
      kept.push_back(site);
      return;
    }
    while (vma != vmas.end() && vma->range.end <= site.range.start) ++vma;
    for (auto it = vma; it != vmas.end() && it->range.start < site.range.end; ++it) {
      MapSite part = site;
      part.range.start = std::max(site.range.start, it->range.start);
      part.range.end = std::min(site.range.end, it->range.end);
      if (part.range.empty()) continue;
      MapSite* last = kept.empty() ? nullptr : &kept.back();
      const bool own_part = last != nullptr && last->range.start >= site.range.start;
      if (last != nullptr && last->range.end == part.range.start &&
          (own_part || (last->time <= newer && same_maker(*last, part)))) {
        last->range.end =
            part.range
                .end;  // one site over several mappings (mprotect splits them), or the next of its maker
        last->time = std::max(last->time, part.time);
      } else if (last == nullptr || last->range.end <= part.range.start) {
        kept.push_back(part);
      }
    }
  });
  if (kept.size() <= kMax) sites_.assign(kept);
}

const MapSite* MapSites::find(uint64_t address) const { return sites_.find(address); }

}  // namespace memwhy::timeline
