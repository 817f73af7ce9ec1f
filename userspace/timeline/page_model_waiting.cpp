// SPDX-License-Identifier: Apache-2.0
// Entries, operations and inheritance of a space wait until its first scan, in order of arrival. Most children of a fork end
// without a scan: for them nothing is ever computed.
//
//   fork 1 -> 9     entries of 1 arrive            9 unmaps        9 ends
//   9: waits { }    { inherited, shared with 8 }   { …, removed }  dropped, and 1's pages were never copied
#include <algorithm>
#include <utility>

#include "timeline/page_model.h"

namespace memwhy::timeline {

// Whether it can wait: then it does.
bool PageModel::wait(Waiting heard, size_t weight) {
  if (looked_at_) return false;
  if (waiting_weight_ + weight > kMaxWaiting) {
    settle();
    return false;
  }
  waiting_weight_ += weight;
  waiting_.push_back(std::move(heard));
  return true;
}

void PageModel::settle() {
  if (waiting_.empty()) return;
  const std::vector<Waiting> waiting = std::exchange(waiting_, {});
  waiting_weight_ = shared_weight_ = 0;
  for (const Waiting& heard : waiting) take_in(heard);
}

void PageModel::take_in(const Waiting& heard) {
  switch (heard.what) {
    case Waiting::What::kEntries:
      return take_in(*heard.runs, heard.restated, heard.tick);
    case Waiting::What::kInherited:
      for (const events::TableRun& run : *heard.runs)
        if (run.tick <= heard.tick) apply_run(run, How::kInherited, false, heard.fork_tick);
      return;
    case Waiting::What::kRemoved:
      return do_remove(heard.pages, heard.tick);
    case Waiting::What::kFreed:
      return do_free(heard.pages, heard.tick);
    case Waiting::What::kMoved:
      return do_move(heard.pages, heard.to, heard.tick);
  }
}

void PageModel::take_in(const std::vector<events::TableRun>& runs, bool restated, uint64_t heard) {
  for (const events::TableRun& run : runs) {
    const bool known = restated && run.tick + kEntrySlackTicks < heard;
    const How how = (run.flags & events::kFaultKernel) != 0 ? How::kKernelFault : How::kFault;
    apply_run(run, how, known, 0);
  }
}

void PageModel::apply(const events::PageTableRuns& event) {
  const uint64_t heard = as_of_;
  as_of_ = std::max(as_of_, event.as_of_tick);
  const size_t weight = event.runs.size() + 1;
  if (!looked_at_ && weight <= kMaxWaiting) {
    auto runs = std::make_shared<const std::vector<events::TableRun>>(event.runs);
    if (wait({Waiting::What::kEntries, event.restated, {}, {}, heard, 0, std::move(runs)}, weight)) return;
  }
  settle();
  take_in(event.runs, event.restated, heard);
}

void PageModel::inherit(std::shared_ptr<const std::vector<events::TableRun>> runs, uint64_t until,
                        uint64_t fork_tick) {
  shared_weight_ += runs->size();
  if (shared_weight_ > kMaxWaitingShared) settle();
  const Waiting heard{Waiting::What::kInherited, false, {}, {}, until, fork_tick, std::move(runs)};
  if (!wait(heard, 1)) take_in(heard);
}

void PageModel::remove(PageRange range, uint64_t tick) {
  if (range.empty() || wait({Waiting::What::kRemoved, false, range, {}, tick, 0, nullptr}, 1)) return;
  do_remove(range, tick);
}

void PageModel::free(PageRange range, uint64_t tick) {
  if (range.empty() || wait({Waiting::What::kFreed, false, range, {}, tick, 0, nullptr}, 1)) return;
  do_free(range, tick);
}

void PageModel::move(PageRange from, PageRange to, uint64_t tick) {
  if (from.empty() || wait({Waiting::What::kMoved, false, from, to, tick, 0, nullptr}, 1)) return;
  do_move(from, to, tick);
}

}  // namespace memwhy::timeline
