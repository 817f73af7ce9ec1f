// SPDX-License-Identifier: Apache-2.0
#include "timeline/map_sites.h"

#include <algorithm>

namespace memwhy::timeline {
namespace {

constexpr uint32_t kMapPopulate = 0x8000;

// Mappings of the same 134 ms are of one time; the kernel's lists are compared by the second.
constexpr int kSameTimeBits = 27;

// An entry of the tree, by glibc's malloc: three links, colour and key beside it.
constexpr size_t kNodeBytes = sizeof(MapSite) + 56;

}  // namespace

// The entries, to be changed: a copy's are its own from then on.
MapSites::Map& MapSites::own() {
  if (!sites_) {
    sites_ = std::make_shared<Map>();
  } else if (sites_.use_count() > 1) {
    sites_ = std::make_shared<Map>(*sites_);
  }
  return *sites_;
}

// fn(const MapSite&) for each that overlaps the range, in order.
template <typename Fn>
void MapSites::each(AddressRange range, Fn fn) const {
  if (!sites_) return;
  auto at = sites_->upper_bound(range.start);
  if (at != sites_->begin() && std::prev(at)->second.range.end > range.start) --at;
  for (; at != sites_->end() && at->first < range.end; ++at) fn(at->second);
}

std::vector<MapSite> MapSites::all() const {
  std::vector<MapSite> sites;
  sites.reserve(size());
  if (sites_)
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
  const size_t shared = sites_ ? size() * kNodeBytes / static_cast<size_t>(sites_.use_count()) : 0;
  return shared + departed_.capacity() * sizeof(Departed);
}

void MapSites::cut(AddressRange range, TimeNs time) {
  if (range.empty()) return;
  remember(range, time);
  erase(range);
}

// What is in the range, before it goes.
void MapSites::remember(AddressRange range, TimeNs time) {
  each(range, [&](const MapSite& site) {
    if (departed_.size() >= kMaxDeparted)
      departed_.erase(departed_.begin(), departed_.begin() + kMaxDeparted / 2);
    departed_.push_back({time, site});
    AddressRange& part = departed_.back().site.range;
    part = {std::max(part.start, range.start), std::min(part.end, range.end)};
  });
}

void MapSites::erase(AddressRange range) {
  bool any = false;
  each(range, [&any](const MapSite&) { any = true; });
  if (!any) return;
  Map& sites = own();
  auto at = sites.upper_bound(range.start);
  if (at != sites.begin()) {
    MapSite& before = std::prev(at)->second;
    if (before.range.start < range.start && before.range.end > range.start) {
      if (before.range.end > range.end) {  // a hole inside one
        MapSite tail = before;
        tail.range.start = range.end;
        before.range.end = range.start;
        sites.emplace_hint(at, tail.range.start, tail);
        return;
      }
      before.range.end = range.start;
    } else if (before.range.start == range.start) {
      --at;
    }
  }
  while (at != sites.end() && at->first < range.end) {
    const MapSite site = at->second;
    at = sites.erase(at);
    if (site.range.end <= range.end) continue;
    MapSite tail = site;
    tail.range.start = range.end;
    sites.emplace_hint(at, tail.range.start, tail);
    return;
  }
}

void MapSites::add(const MapSite& site) {
  if (site.range.empty()) return;
  remember(site.range, site.time);
  put(site);
}

bool MapSites::alike(const MapSite& a, const MapSite& b) const {
  if (a.stack != b.stack || a.what != b.what || a.prot != b.prot || a.flags != b.flags) return false;
  if ((a.flags & kMapPopulate) != 0) return false;  // what was freed since is told by their time
  return a.time >> kSameTimeBits == b.time >> kSameTimeBits || std::max(a.time, b.time) <= listed_;
}

void MapSites::put(const MapSite& site) {
  erase(site.range);
  Map& sites = own();
  MapSite whole = site;
  auto after = sites.lower_bound(site.range.start);
  if (after != sites.end() && after->first == site.range.end && alike(after->second, site)) {
    whole.range.end = after->second.range.end;
    whole.time = std::max(whole.time, after->second.time);
    after = sites.erase(after);
  }
  if (after != sites.begin()) {
    MapSite& before = std::prev(after)->second;
    if (before.range.end == whole.range.start && alike(before, whole)) {
      before.range.end = whole.range.end;
      before.time = std::max(before.time, whole.time);
      return;
    }
  }
  if (sites.size() >= kMax) return;  // more than a kernel allows: without a site its pages are "unknown"
  sites.emplace_hint(after, whole.range.start, whole);
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
  each(from, [&](MapSite site) {
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
  listed_ = std::max(listed_, newer);
  if (!sites_) return;
  auto kept = std::make_shared<Map>();
  const auto keep = [&](const MapSite& part) {
    if (!kept->empty()) {
      MapSite& last = std::prev(kept->end())->second;
      if (last.range.end > part.range.start) return;
      // One site over several mappings (mprotect splits them), or several that were made alike.
      if (last.range.end == part.range.start && alike(last, part)) {
        last.range.end = part.range.end;
        last.time = std::max(last.time, part.time);
        return;
      }
    }
    kept->emplace_hint(kept->end(), part.range.start, part);
  };
  auto vma = vmas.begin();
  for (const auto& [start, site] : *sites_) {
    if (site.time > newer) {
      keep(site);
      continue;
    }
    while (vma != vmas.end() && vma->range.end <= site.range.start) ++vma;
    AddressRange part{};
    for (auto it = vma; it != vmas.end() && it->range.start < site.range.end; ++it) {
      const AddressRange next{std::max(site.range.start, it->range.start),
                              std::min(site.range.end, it->range.end)};
      if (next.empty()) continue;
      if (!part.empty() && part.end == next.start) {
        part.end = next.end;
        continue;
      }
      if (!part.empty()) keep({part, site.stack, site.time, site.prot, site.flags, site.what});
      part = next;
    }
    if (!part.empty()) keep({part, site.stack, site.time, site.prot, site.flags, site.what});
  }
  if (kept->size() <= kMax) sites_ = std::move(kept);
}

const MapSite* MapSites::find(uint64_t address) const {
  if (!sites_) return nullptr;
  const auto after = sites_->upper_bound(address);
  if (after == sites_->begin()) return nullptr;
  const MapSite& site = std::prev(after)->second;
  return address < site.range.end ? &site : nullptr;
}

bool MapSites::one_answer(AddressRange range) const {
  bool one = true;
  each(range, [&](const MapSite& site) {
    one = one && site.range.start <= range.start && site.range.end >= range.end;
  });
  return one;
}

}  // namespace memwhy::timeline
