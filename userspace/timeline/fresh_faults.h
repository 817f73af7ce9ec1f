// SPDX-License-Identifier: Apache-2.0
// FreshFaults: which stacks touched pages since the last scan of a space. For a killed process this is all that is known of the
// time after the last scan. Not residency: pages may have left since, and a huge page counts as the one touched page.
#pragma once

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "events/event.h"

namespace memwhy::timeline {

class FreshFaults {
 public:
  static constexpr size_t kMostStacks = 4096;

  // `scanned`: the tick of the last scan; older entries were seen by it.
  void on(const events::PageTableRuns& table, uint64_t scanned) {
    if (table.restated) pages_.clear();
    for (const events::TableRun& run : table.runs) {
      if (run.tick <= scanned || (pages_.size() >= kMostStacks && !pages_.contains(run.stack))) continue;
      pages_[run.stack] += run.count;
    }
  }
  void clear() { pages_.clear(); }

  struct Touched {
    StackId stack{};
    uint64_t pages = 0;
  };
  std::vector<Touched> most_first() const {
    std::vector<Touched> out;
    for (const auto& [stack, pages] : pages_) out.push_back({stack, pages});
    std::sort(out.begin(), out.end(), [](const Touched& a, const Touched& b) {
      return a.pages != b.pages ? a.pages > b.pages : a.stack < b.stack;
    });
    return out;
  }

 private:
  std::unordered_map<StackId, uint64_t> pages_;
};

}  // namespace memwhy::timeline
