// SPDX-License-Identifier: Apache-2.0
#include "timeline/scan_runs.h"

#include <algorithm>

#include "timeline/page_word.h"

namespace memwhy::timeline {

bool in_order(const std::vector<events::ScanRun>& runs) {
  PageNumber at = 0;
  for (const events::ScanRun& run : runs) {
    if (run.page < at || run.page >= kPageLimit || run.count > kPageLimit - run.page) return false;
    at = run.page + run.count;
  }
  return true;
}

std::vector<events::ScanRun> put_in_order(std::vector<events::ScanRun> runs) {
  std::stable_sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.page < b.page; });
  std::vector<events::ScanRun> result;
  PageNumber at = 0;
  for (events::ScanRun run : runs) {
    if (run.page >= kPageLimit) break;
    const PageNumber end = std::min(run.page + run.count, kPageLimit);
    run.page = std::max(run.page, at);
    if (end <= run.page) continue;
    run.count = static_cast<uint32_t>(end - run.page);
    result.push_back(run);
    at = end;
  }
  return result;
}

}  // namespace memwhy::timeline
