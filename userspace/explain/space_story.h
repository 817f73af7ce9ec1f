// SPDX-License-Identifier: Apache-2.0
// SpaceStory: what is kept of one address space while events arrive, and its explanation at the end.
//
// At each scan the pages are counted by owner (history) and the scan is kept until the next one. At the end
// the last scan is judged again, with every name that has arrived since, and the history is settled with what
// is known by then: a mapping that turns out to be a Go heap in scan 3 was already one in scan 1.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "explain/explanation.h"
#include "explain/history.h"
#include "explain/ledger.h"
#include "explain/owners.h"
#include "explain/process_log.h"
#include "explain/stacks.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

class SpaceStory {
 public:
  explicit SpaceStory(std::shared_ptr<const OwnerTable> table) : owners_(std::move(table)) {}
  void on_scan(const timeline::Timeline& timeline, const timeline::AddressSpace& space,
               const timeline::ScanResult& scan);
  // Series begin anew, with the last scan as the first.
  void restart() {
    history_.restart();
    log_ = {};
    first_sample_ = last_sample_;
  }
  ProcessLog& log() { return log_; }
  bool scanned() const { return scan_.has_value(); }

  ProcessExplanation explain(const timeline::Timeline& timeline, const timeline::AddressSpace& space,
                             std::optional<uint64_t> heap_profile_bytes) const;

 private:
  void add_ledger(const timeline::Timeline& timeline, const timeline::AddressSpace& space,
                  std::optional<uint64_t> heap_profile_bytes, ProcessExplanation& out) const;

  Owners owners_;
  StackMemory stacks_;
  History history_;
  ProcessLog log_;
  std::optional<Sample> last_sample_, first_sample_;
  // Of the last whole scan:
  std::optional<timeline::ScanResult> scan_;
  std::vector<events::Thread> threads_;
  std::optional<events::Counters> before_, after_;
  std::shared_ptr<const events::GoReading> go_reading_;
  std::vector<std::shared_ptr<const events::AllocatorHeap>> allocators_;
};

}  // namespace memwhy::explain
