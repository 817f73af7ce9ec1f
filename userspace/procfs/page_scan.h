// SPDX-License-Identifier: Apache-2.0
// Which pages of an address space are resident: one paced pass over its pagemap.
//
// What it is: PAGEMAP_SCAN (Linux 6.7), or reading pagemap where that is missing. What it is not: smaps,
// which stops the target's mmap and munmap for 14 ms per GiB. A step walks at most 64 MiB of populated range,
// because munmap in the target waits for it; an empty range is crossed in few large steps.
//
//   VMAs     7f10'0000'0000-7f14'0000'0000 rw-p anon, 300 MiB of it populated
//   steps    [64 MiB: 16,384 pages] pause [64 MiB] pause … [44 MiB] [16 GiB: nothing, no pause]
//   runs     {0x7f10'00000, 51,200, huge} {0x7f10'0c800, 25,600, -}
//
// It counts what the kernel counts as RSS: present, not the zero page, not hugetlb, and no raw frames of a
// device (those are present, but belong to no process: [vvar], PCI bars). A raw frame is recognised by not
// being of a file where only file pages can be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"

namespace memwhy::procfs {

struct ScanPace {
  uint64_t step_pages = 16384;  // max populated pages walked before a pause: 64 MiB
  uint64_t busy_ns = 100'000;   // max time inside the kernel before a pause
  uint64_t pause_ns = 200'000;
  uint64_t widest_step = uint64_t{64} << 30;  // bytes of an empty range crossed at once
};

struct ScanOutcome {
  bool complete = true;
  std::string method;  // "PAGEMAP_SCAN" | "pagemap"
  std::vector<events::ScanRun> runs;
};

class PageScanner {
 public:
  enum class Method : uint8_t { kBest, kPagemapOnly };

  // `pagemap` stays the caller's; it is bound to the address space that the process had when it was opened.
  explicit PageScanner(int pagemap, int root, Method method = Method::kBest, ScanPace pace = {});

  // The resident pages of these mappings (in order of address). A run never crosses the border of a mapping,
  // and no page outside them is reported. Error: pagemap could not be read at all.
  Result<ScanOutcome> scan(const std::vector<events::Vma>& vmas);

 private:
  int pagemap_;
  int root_;
  Method method_;
  ScanPace pace_;
};

}  // namespace memwhy::procfs
