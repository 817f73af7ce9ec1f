// SPDX-License-Identifier: Apache-2.0
// Curve: a value over time in a bounded number of points. When it is full, every second point is dropped, and
// from then on only every second sample is kept: RSS at 1 Hz for a day in 4,096 points is one in 32 s. The first
// and the last sample are always in it.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"

namespace memwhy::timeline {

template <typename Point, size_t kMaxPoints>  // Point has a `time`
class Curve {
 public:
  void add(const Point& point) {
    last_ = point;
    if (samples_++ % stride_ != 0) return;
    points_.push_back(point);
    if (points_.size() < kMaxPoints) return;
    size_t kept = 0;
    for (size_t i = 0; i < points_.size(); i += 2) points_[kept++] = points_[i];
    points_.resize(kept);
    stride_ *= 2;
  }
  // From here on it is a curve of what comes: its last point becomes its first.
  void restart() {
    points_.clear();
    samples_ = 0;
    stride_ = 1;
    if (last_) add(Point(*last_));
  }
  std::vector<Point> points() const {
    std::vector<Point> result = points_;
    if (last_ && (result.empty() || result.back().time != last_->time)) result.push_back(*last_);
    return result;
  }
  size_t memory_bytes() const { return points_.capacity() * sizeof(Point); }

 private:
  std::vector<Point> points_;
  std::optional<Point> last_;
  uint64_t samples_ = 0, stride_ = 1;
};

}  // namespace memwhy::timeline
