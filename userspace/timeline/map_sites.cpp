// SPDX-License-Identifier: Apache-2.0
#include "timeline/map_sites.h"

#include <algorithm>
#include <iterator>

namespace memwhy::timeline {
namespace {

constexpr size_t kNodeOverhead = 48;  // what a tree adds to a site: three links, colour, key, malloc's own

// Whether one site can stand for both. Of MAP_POPULATE the time of each counts.
bool same_maker(const MapSite& a, const MapSite& b) {
  return a.stack == b.stack && a.prot == b.prot && a.flags == b.flags && a.what == b.what &&
         (a.flags & kMapPopulate) == 0;
}

}  // namespace

MapSites::Tree& MapSites::own() {
  if (sites_.use_count() > 1) sites_ = std::make_shared<Tree>(*sites_);
  return *sites_;
}

MapSites::Tree::iterator MapSites::first_ending_after(uint64_t address) {
  auto it = sites_->upper_bound(address);
  if (it != sites_->begin() && std::prev(it)->second.range.end > address) --it;
  return it;
}

std::vector<MapSite> MapSites::all() const {
  std::vector<MapSite> sites;
  sites.reserve(sites_->size());
  for (const auto& [start, site] : *sites_) sites.push_back(site);
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
  if (departed_.empty()) departed_ = {};
}

size_t MapSites::memory_bytes() const {
  return sites_->size() * (sizeof(MapSite) + kNodeOverhead) / static_cast<size_t>(sites_.use_count()) +
         departed_.capacity() * sizeof(Departed);
}

void MapSites::cut(AddressRange range, TimeNs time) {
  if (range.empty()) return;
  remember(range, time);
  erase(range);
}

// What is in the range, before it goes.
void MapSites::remember(AddressRange range, TimeNs time) {
  for (auto at = first_ending_after(range.start); at != sites_->end() && at->first < range.end; ++at) {
    const AddressRange part = {std::max(at->first, range.start), std::min(at->second.range.end, range.end)};
    if (!departed_.empty() && departed_.back().time == time &&
        departed_.back().site.range.end == part.start && same_maker(departed_.back().site, at->second)) {
      departed_.back().site.range.end = part.end;
      continue;
    }
    if (departed_.size() >= kMaxDeparted)
      departed_.erase(departed_.begin(), departed_.begin() + kMaxDeparted / 2);
    departed_.push_back({time, at->second});
    departed_.back().site.range = part;
  }
}

void MapSites::erase(AddressRange range) {
  Tree& sites = own();
  auto it = first_ending_after(range.start);
  while (it != sites.end() && it->first < range.end) {
    MapSite tail = it->second;
    if (it->first < range.start) {
      it->second.range.end = range.start;
      ++it;
    } else {
      it = sites.erase(it);
    }
    if (tail.range.end <= range.end) continue;
    tail.range.start = range.end;
    sites.emplace_hint(it, range.end, tail);
    return;
  }
}

void MapSites::add(const MapSite& site) {
  if (site.range.empty()) return;
  remember(site.range, site.time);
  put(site);
}

void MapSites::put(const MapSite& site) {
  erase(site.range);
  if (sites_->size() >= kMax) return;  // more than a kernel allows: without a site its pages are "unknown"
  own().emplace(site.range.start, site);
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
  for (auto it = first_ending_after(from.start); it != sites_->end() && it->first < from.end; ++it) {
    MapSite site = it->second;
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
  auto kept = std::make_shared<Tree>();
  const auto keep = [&kept](const MapSite& site) { kept->emplace_hint(kept->end(), site.range.start, site); };
  auto vma = vmas.begin();
  for (const auto& [start, site] : *sites_) {
    if (site.time > newer) {
      keep(site);
      continue;
    }
    while (vma != vmas.end() && vma->range.end <= site.range.start) ++vma;
    for (auto it = vma; it != vmas.end() && it->range.start < site.range.end; ++it) {
      MapSite part = site;
      part.range.start = std::max(site.range.start, it->range.start);
      part.range.end = std::min(site.range.end, it->range.end);
      if (part.range.empty()) continue;
      MapSite* last = kept->empty() ? nullptr : &kept->rbegin()->second;
      const bool own_part = last != nullptr && last->range.start >= site.range.start;
      if (last != nullptr && last->range.end == part.range.start &&
          (own_part || (last->time <= newer && same_maker(*last, part)))) {
        last->range.end =
            part.range
                .end;  // one site over several mappings (mprotect splits them), or the next of its maker
        last->time = std::max(last->time, part.time);
      } else if (last == nullptr || last->range.end <= part.range.start) {
        keep(part);
      }
    }
  }
  if (kept->size() <= kMax) sites_ = std::move(kept);
}

const MapSite* MapSites::find(uint64_t address) const {
  auto it = sites_->upper_bound(address);
  if (it == sites_->begin()) return nullptr;
  --it;
  return it->second.range.end > address ? &it->second : nullptr;
}

}  // namespace memwhy::timeline
