// SPDX-License-Identifier: Apache-2.0
// RssCurve: RSS over time in at most 4,096 points. When it is full every second point goes, and from then on only every
// second sample is taken: a day at 1 Hz is one point in 32 s. The first and the last sample are always in it.
#pragma once

#include <optional>
#include <vector>

#include "timeline/address_space.h"

namespace memwhy::timeline {

class RssCurve {
 public:
  static constexpr size_t kMaxPoints = 4096;

  void add(const RssPoint& point) {
    last_ = point;
    if (samples_++ % stride_ != 0) return;
    points_.push_back(point);
    if (points_.size() < kMaxPoints) return;
    size_t kept = 0;
    for (size_t i = 0; i < points_.size(); i += 2) points_[kept++] = points_[i];
    points_.resize(kept);
    stride_ *= 2;
  }
  std::vector<RssPoint> points() const {
    std::vector<RssPoint> result = points_;
    if (last_ && (result.empty() || result.back().time != last_->time)) result.push_back(*last_);
    return result;
  }
  size_t memory_bytes() const { return points_.capacity() * sizeof(RssPoint); }

 private:
  std::vector<RssPoint> points_;
  std::optional<RssPoint> last_;
  uint64_t samples_ = 0, stride_ = 1;
};

}  // namespace memwhy::timeline
