// SPDX-License-Identifier: Apache-2.0
#include "timeline/go/cycles.h"

#include <algorithm>

namespace memwhy::timeline {
namespace {

bool longer(const events::GoPause& a, const events::GoPause& b) { return a.pause_ns > b.pause_ns; }

}  // namespace

void GoCycles::add(const events::GoPause& pause) {
  latest_.push_back(pause);
  if (latest_.size() <= kLatest) return;
  const events::GoPause oldest = latest_.front();
  latest_.pop_front();
  // A heap with the shortest on top.
  longest_.push_back(oldest);
  std::push_heap(longest_.begin(), longest_.end(), longer);
  if (longest_.size() <= kLongest) return;
  std::pop_heap(longest_.begin(), longest_.end(), longer);
  longest_.pop_back();
}

void GoCycles::add(const events::GoCall& call, TimeNs time) {
  if (call.function == events::GoFunction::kCollectionStart) marking_since_ = time;
  if (call.function != events::GoFunction::kMarkEnd || marking_since_ == 0 || time < marking_since_) return;
  marks_.push_back({marking_since_, time});
  if (marks_.size() > kLatest) marks_.pop_front();
  const uint64_t ns = time - marking_since_;
  marking_since_ = 0;
  ++marks_seen_;
  mark_total_ns_ += ns;
  mark_longest_ns_ = std::max(mark_longest_ns_, ns);
}

std::vector<events::GoPause> GoCycles::pauses() const {
  std::vector<events::GoPause> out(longest_);
  out.insert(out.end(), latest_.begin(), latest_.end());
  std::stable_sort(out.begin(), out.end(), [](const events::GoPause& a, const events::GoPause& b) {
    return a.collection < b.collection;
  });
  return out;
}

}  // namespace memwhy::timeline
