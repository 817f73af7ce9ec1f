// SPDX-License-Identifier: Apache-2.0
#include "export/scan_series.h"

#include <algorithm>

#include "events/mapping_at.h"

namespace memwhy::exports {
namespace {

constexpr size_t kMostOfScan = 256;
constexpr size_t kMostScans = 512;
constexpr size_t kMostEntries = size_t{1} << 20;
constexpr uint64_t kPagesOfAll = uint64_t{1} << (64 - kPageShift - 1);

struct Counted {
  uint64_t virtual_bytes = 0, pages = 0, file_pages = 0, swapped = 0;
};

bool of_file(const events::Vma* vma, const events::ScanRun& run) {
  return (run.flags & events::kScanFile) != 0 || (vma != nullptr && vma->shared && vma->inode != 0);
}

// By name. A run may lie in several mappings, and in none.
std::map<std::string, Counted> count_scan(const std::vector<events::Vma>& vmas,
                                          const events::PageScan& scan) {
  std::map<std::string, Counted> out;
  for (const events::Vma& vma : vmas) out[vma.name].virtual_bytes += vma.range.bytes();
  for (const events::ScanRun& run : scan.runs) {
    if (run.page >= kPagesOfAll) continue;  // a damaged file
    uint64_t page = run.page;
    const uint64_t end = run.page + run.count;
    while (page < end) {
      const auto next = events::first_ending_after(vmas, page << kPageShift);
      const bool inside = next != vmas.end() && next->range.start <= page << kPageShift;
      const uint64_t limit = next == vmas.end() ? end
                             : inside           ? next->range.end >> kPageShift
                                                : next->range.start >> kPageShift;
      const uint64_t pages = std::min(end, std::max(limit, page + 1)) - page;
      Counted& counted = out[inside ? next->name : "(no mapping)"];
      if ((run.flags & events::kScanSwapped) != 0) {
        counted.swapped += pages;
      } else {
        counted.pages += pages;
        if (of_file(inside ? &*next : nullptr, run)) counted.file_pages += pages;
      }
      page += pages;
    }
  }
  return out;
}

}  // namespace

void ScanSeries::on_event(const events::Event& event) {
  if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
    if (start->tgid != 0) spaces_[start->space].scans.pid = start->tgid;
  } else if (const auto* list = std::get_if<events::VmaList>(&event.payload)) {
    spaces_[list->space].vmas = list->vmas;
  } else if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) {
    // Of a scan that ended half-way no ledger is made.
    if (scan->complete) add(spaces_[scan->space], *scan, event.time);
  }
}

void ScanSeries::add(Space& space, const events::PageScan& scan, TimeNs time) {
  std::vector<MappingScan>& scans = space.scans.scans;
  const auto drop_newest = [&] {
    space.entries -= scans.back().mappings.size();
    entries_ -= scans.back().mappings.size();
    scans.pop_back();
  };
  if (space.last_is_extra && !scans.empty()) drop_newest();
  MappingScan added{time, {}};
  const auto number_of = [&](const std::string& name) {
    const auto [found, is_new] =
        space.numbers.try_emplace(name, static_cast<uint32_t>(space.scans.names.size()));
    if (is_new) space.scans.names.push_back(name);
    return found->second;
  };
  std::vector<std::pair<const std::string*, Counted>> counted;
  const std::map<std::string, Counted> all = count_scan(space.vmas, scan);
  for (const auto& [name, amounts] : all)
    if (amounts.pages != 0 || amounts.swapped != 0) counted.emplace_back(&name, amounts);
  std::stable_sort(counted.begin(), counted.end(),
                   [](const auto& a, const auto& b) { return a.second.pages > b.second.pages; });
  MappingPages rest;
  for (size_t i = 0; i < counted.size(); ++i) {
    const Counted& amounts = counted[i].second;
    if (i + 1 < kMostOfScan) {
      added.mappings.push_back({number_of(*counted[i].first), amounts.virtual_bytes, amounts.pages,
                                amounts.file_pages, amounts.swapped});
    } else {
      rest.pages += amounts.pages;
      rest.file_pages += amounts.file_pages;
      rest.swapped += amounts.swapped;
    }
  }
  if (counted.size() >= kMostOfScan) {
    rest.name = number_of("(other mappings)");
    added.mappings.push_back(rest);
  }
  space.entries += added.mappings.size();
  entries_ += added.mappings.size();
  scans.push_back(std::move(added));
  space.last_is_extra = space.seen++ % space.stride != 0;
  if (scans.size() > kMostScans) thin(space);
  if (entries_ > kMostEntries)
    thin(std::max_element(spaces_.begin(), spaces_.end(), [](const auto& a, const auto& b) {
           return a.second.entries < b.second.entries;
         })->second);
}

// 0, s, 2s, 3s … and the newest → 0, 2s, 4s … and the newest.
void ScanSeries::thin(Space& space) {
  std::vector<MappingScan> kept;
  std::vector<MappingScan>& scans = space.scans.scans;
  for (size_t i = 0; i < scans.size(); ++i)
    if (i % 2 == 0 || i + 1 == scans.size()) kept.push_back(std::move(scans[i]));
  if (scans.size() % 2 == 0) space.last_is_extra = true;
  space.stride *= 2;
  scans = std::move(kept);
  entries_ -= space.entries;
  space.entries = 0;
  for (const MappingScan& scan : scans) space.entries += scan.mappings.size();
  entries_ += space.entries;
}

const SpaceScans* ScanSeries::of(Pid pid, TimeNs last) const {
  for (const auto& [id, space] : spaces_)
    if (space.scans.pid == pid && !space.scans.scans.empty() && space.scans.scans.back().time == last)
      return &space.scans;
  return nullptr;
}

}  // namespace memwhy::exports
