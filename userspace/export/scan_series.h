// SPDX-License-Identifier: Apache-2.0
// ScanSeries: how much of each mapping was resident at each scan of the recording. The answer has owners at each scan and
// mappings of the last one; formats that draw mappings over time (smaps of Perfetto) need this too. Not smaps: nothing is
// read from a process, and what scans do not contain (shared or private, dirty or clean) is missing.
//
//   pid 4711   names        0 /bin/server   1 [heap]   2 anonymous
//              scan at 10 s   {0, 96 KiB, 24 pages, 20 of files}  {1, 2 MiB, 512 pages}  …      Σ pages = resident
//              scan at 20 s   …
//
// Mappings of one name are one entry. Bounded: 256 entries of a scan (the smallest others are "(other mappings)"), 512 scans
// of a space and 2^20 entries in total, beyond which every second scan of the space with most is dropped; 2^16 names in total
// (later ones count as others) and 2^16 spaces, beyond which further spaces have no series.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "events/event.h"

namespace memwhy::exports {

struct MappingPages {
  uint32_t name = 0;                     // of SpaceScans::names
  uint64_t virtual_bytes = 0;            // 0 of "(other mappings)" and of what no mapping is known for
  uint64_t pages = 0;                    // resident
  uint64_t file_pages = 0, swapped = 0;  // of `pages`: of the page cache; beside them: in swap
};

struct MappingScan {
  TimeNs time = 0;
  std::vector<MappingPages> mappings;
};

struct SpaceScans {
  Pid pid = 0;
  std::vector<std::string> names;  // as the kernel has them, "" anonymous
  std::vector<MappingScan> scans;  // in order of time
};

class ScanSeries : public events::EventSink {
 public:
  void on_event(const events::Event& event) override;
  // The space of process `pid` whose last scan was at `last`: a pid may have had several. nullptr: there is none.
  const SpaceScans* of(Pid pid, TimeNs last) const;

 private:
  struct Space {
    SpaceScans scans;
    std::vector<events::Vma> vmas;
    std::unordered_map<std::string, uint32_t> numbers;
    size_t entries = 0, seen = 0, stride = 1;
    bool last_is_extra = false;  // the newest scan is always there, and goes when the next comes
  };
  void add(Space& space, const events::PageScan& scan, TimeNs time);
  void thin(Space& space);
  Space* space_of(SpaceId id);
  std::optional<uint32_t> number_of(Space& space, const std::string& name);

  std::map<SpaceId, Space> spaces_;
  size_t entries_ = 0, names_ = 0;
};

}  // namespace memwhy::exports
