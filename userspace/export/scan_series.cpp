// SPDX-License-Identifier: Apache-2.0
#include "export/scan_series.h"

#include <algorithm>

#include "events/mapping_at.h"

namespace memwhy::exports {
namespace {

constexpr size_t kMostOfScan = 256;
constexpr size_t kMostScans = 512;
constexpr size_t kMostEntries = size_t{1} << 20;
constexpr size_t kMostNames = size_t{1} << 16, kMostSpaces = size_t{1} << 16;
constexpr const char* kOthers = "(other mappings)";
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
    Space* space = start->tgid != 0 ? space_of(start->space) : nullptr;
    if (space != nullptr) space->scans.pid = start->tgid;
  } else if (const auto* list = std::get_if<events::VmaList>(&event.payload)) {
    if (Space* space = space_of(list->space)) space->vmas = list->vmas;
  } else if (const auto* scan = std::get_if<events::PageScan>(&event.payload)) {
    // Of a scan that ended half-way no ledger is made.
    Space* space = scan->complete ? space_of(scan->space) : nullptr;
    if (space != nullptr) add(*space, *scan, event.time);
  }
}

ScanSeries::Space* ScanSeries::space_of(SpaceId id) {
  const auto found = spaces_.find(id);
  if (found != spaces_.end()) return &found->second;
  return spaces_.size() < kMostSpaces ? &spaces_[id] : nullptr;
}

// nullopt: there are too many names.
std::optional<uint32_t> ScanSeries::number_of(Space& space, const std::string& name) {
  if (const auto found = space.numbers.find(name); found != space.numbers.end()) return found->second;
  if (names_ >= kMostNames && name != kOthers) return std::nullopt;
  ++names_;
  const auto number = static_cast<uint32_t>(space.scans.names.size());
  space.numbers.emplace(name, number);
  space.scans.names.push_back(name);
  return number;
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
  std::vector<std::pair<const std::string*, Counted>> counted;
  const std::map<std::string, Counted> all = count_scan(space.vmas, scan);
  for (const auto& [name, amounts] : all)
    if (amounts.pages != 0 || amounts.swapped != 0) counted.emplace_back(&name, amounts);
  std::stable_sort(counted.begin(), counted.end(),
                   [](const auto& a, const auto& b) { return a.second.pages > b.second.pages; });
  MappingPages rest;
  bool others = false;
  for (size_t i = 0; i < counted.size(); ++i) {
    const Counted& amounts = counted[i].second;
    const auto name = i + 1 < kMostOfScan ? number_of(space, *counted[i].first) : std::nullopt;
    if (name) {
      added.mappings.push_back(
          {*name, amounts.virtual_bytes, amounts.pages, amounts.file_pages, amounts.swapped});
    } else {
      others = true;
      rest.pages += amounts.pages;
      rest.file_pages += amounts.file_pages;
      rest.swapped += amounts.swapped;
    }
  }
  if (others) {
    rest.name = *number_of(space, kOthers);
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
