// SPDX-License-Identifier: Apache-2.0
// The join of the runtime's pages with the resident ones: a cursor over the scan's runs beside the runs of
// the heap.
#include <algorithm>

#include "goruntime/geometry.h"
#include "goruntime/go_process.h"
#include "goruntime/pages.h"
#include "goruntime/spans.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using events::GoUse;
using events::RuntimeRun;

constexpr uint64_t kOsPagesPerGoPage = kGoPageBytes / kPageBytes;

GoUse use_of(PageClass page_class, const Span* span) {
  switch (page_class) {
    case PageClass::kIdle:
      return GoUse::kIdle;
    case PageClass::kReleased:
    case PageClass::kPadding:
      return GoUse::kReleased;
    case PageClass::kUnknown:
      return GoUse::kUnknown;
    case PageClass::kHeapSpan:
    case PageClass::kManualSpan:
      break;
  }
  if (span == nullptr) return GoUse::kUnknown;
  switch (span->kind) {
    case SpanKind::kObjects:
      return GoUse::kHeap;
    case SpanKind::kStack:
      return GoUse::kStack;
    case SpanKind::kWorkBuffer:
    case SpanKind::kOther:
      return GoUse::kWork;
    case SpanKind::kInMotion:
      break;
  }
  return GoUse::kUnknown;
}

// Walks the resident parts of rising page ranges.
class ResidentCursor {
 public:
  explicit ResidentCursor(std::span<const events::ScanRun> runs) : runs_(runs) {}

  template <typename Visit>  // visit(first page, end page) of each resident part of [from, to)
  void each(PageNumber from, PageNumber to, Visit visit) {
    while (at_ < runs_.size() && runs_[at_].page + runs_[at_].count <= from) ++at_;
    for (size_t i = at_; i < runs_.size() && runs_[i].page < to; ++i) {
      if ((runs_[i].flags & events::kScanSwapped) != 0) continue;
      visit(std::max(from, runs_[i].page), std::min(to, runs_[i].page + runs_[i].count));
    }
  }

 private:
  std::span<const events::ScanRun> runs_;
  size_t at_ = 0;
};

// Neighbours of one use become one run; spans of objects too, their bytes add up.
void append(std::vector<RuntimeRun>& out, RuntimeRun run) {
  if (!out.empty()) {
    RuntimeRun& last = out.back();
    const bool fits = last.count + uint64_t{run.count} <= UINT32_MAX;
    if (last.use == run.use && last.page + last.count == run.page && fits) {
      last.count += run.count;
      last.live_bytes += run.live_bytes;
      last.dead_bytes += run.dead_bytes;
      last.free_bytes += run.free_bytes;
      return;
    }
  }
  out.push_back(run);
}

}  // namespace

std::vector<RuntimeRun> join_residency(const HeapPages& pages, const SpanTable& spans,
                                       std::span<const events::ScanRun> resident) {
  std::vector<RuntimeRun> out;
  ResidentCursor cursor(resident);
  size_t next_span = 0;
  for (const PageRun& run : pages.runs) {
    const Span* span = run.span != 0 && next_span < spans.spans.size() ? &spans.spans[next_span++] : nullptr;
    RuntimeRun joined;
    joined.page = run.address >> kPageShift;
    joined.count = static_cast<uint32_t>(run.pages * kOsPagesPerGoPage);
    const GoUse use = use_of(run.page_class, span);
    joined.use = static_cast<uint8_t>(use);
    if (use == GoUse::kHeap)
      cursor.each(joined.page, joined.page + joined.count, [&](PageNumber from, PageNumber to) {
        const Occupancy part = occupancy(*span, from << kPageShift, to << kPageShift);
        joined.live_bytes += part.live_bytes;
        joined.dead_bytes += part.unmarked_bytes;
        joined.free_bytes += part.free_bytes;
      });
    append(out, joined);
  }
  return out;
}

}  // namespace memwhy::goruntime
