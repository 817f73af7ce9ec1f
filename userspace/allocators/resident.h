// SPDX-License-Identifier: Apache-2.0
// Resident pages of a scan, visited by range; and which of the dropped pages are parts of huge ones.
#pragma once

#include <algorithm>
#include <span>

#include "base/ids.h"
#include "events/event.h"

namespace memwhy::allocators {

// Visits resident pages of [from, to): page, whether it is of a huge one.
template <typename Visit>
void each_resident(std::span<const events::ScanRun> resident, PageNumber from, PageNumber to, Visit visit) {
  auto run = std::partition_point(resident.begin(), resident.end(),
                                  [from](const events::ScanRun& r) { return r.page + r.count <= from; });
  for (; run != resident.end() && run->page < to; ++run) {
    if ((run->flags & events::kScanSwapped) != 0) continue;
    const PageNumber end = std::min(to, run->page + run->count);
    for (PageNumber page = std::max(from, run->page); page < end; ++page)
      visit(page, (run->flags & events::kScanHuge) != 0);
  }
}

// Parts of huge pages: counted by the 2 MiB that they are of. A block that is dropped whole leaves the cgroup too; of others
// the kernel gives back the parts only under pressure.
class HugeParts {
 public:
  void dropped(PageNumber page) {
    const PageNumber block = page / kChunkPages;
    if (block != block_) flush();
    block_ = block;
    ++pages_;
  }
  uint64_t finish() {
    flush();
    return bytes_;
  }

 private:
  void flush() {
    if (pages_ < kChunkPages) bytes_ += pages_ * kPageBytes;
    pages_ = 0;
  }
  PageNumber block_ = 0;
  uint64_t pages_ = 0, bytes_ = 0;
};

}  // namespace memwhy::allocators
