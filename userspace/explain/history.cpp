// SPDX-License-Identifier: Apache-2.0
#include "explain/history.h"

#include <algorithm>

namespace memwhy::explain {
namespace {

constexpr size_t kDoubtsMost = 2048;        // for each sample; the largest ones
constexpr uint64_t kDoubtLeast = 64 << 10;  // smaller ones are not worth their memory
constexpr size_t kSlopePoints = 128;        // pairs grow with the square

void add_to(OwnerBytes& into, const OwnerBytes& more) {
  for (size_t i = 0; i < kOwnerCount; ++i) into[i] += more[i];
}

double median(std::vector<double>& values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

struct Point {
  double seconds, bytes;
};

std::optional<double> theil_sen(const std::vector<Point>& points) {
  std::vector<double> slopes;
  size_t step = (points.size() + kSlopePoints - 1) / kSlopePoints;
  for (size_t i = 0; i < points.size(); i += step) {
    for (size_t k = i + step; k < points.size(); k += step) {
      double seconds = points[k].seconds - points[i].seconds;
      if (seconds > 0) slopes.push_back((points[k].bytes - points[i].bytes) / seconds);
    }
  }
  if (slopes.empty()) return std::nullopt;
  return median(slopes);
}

}  // namespace

void History::add(Sample sample, std::vector<Doubt> doubts) {
  std::erase_if(doubts, [](const Doubt& doubt) { return doubt.bytes < kDoubtLeast; });
  if (doubts.size() > kDoubtsMost) {
    std::nth_element(doubts.begin(), doubts.begin() + kDoubtsMost, doubts.end(),
                     [](const Doubt& a, const Doubt& b) { return a.bytes > b.bytes; });
    doubts.resize(kDoubtsMost);
  }
  if (entries_.size() > 1 && entries_.back().number % stride_ != 0) {
    add_to(sample.arrived, entries_.back().sample.arrived);
    add_to(sample.left, entries_.back().sample.left);
    entries_.pop_back();
  }
  entries_.push_back({sample, std::move(doubts), scans_++});
  if (entries_.size() > kHistorySamples) thin();
}

void History::thin() {
  stride_ *= 2;
  std::vector<Entry> kept;
  OwnerBytes arrived = {}, left = {};
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    add_to(arrived, entry.sample.arrived);
    add_to(left, entry.sample.left);
    if (entry.number % stride_ != 0 && i + 1 != entries_.size()) continue;
    entry.sample.arrived = arrived;
    entry.sample.left = left;
    arrived = left = {};
    kept.push_back(std::move(entry));
  }
  entries_ = std::move(kept);
}

std::vector<Sample> History::settled(const Owners& owners) const {
  std::vector<Sample> samples;
  samples.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    Sample& sample = samples.emplace_back(entry.sample);
    for (const Doubt& doubt : entry.doubts) {
      std::optional<Owner> owner = owners.learned(doubt.address);
      if (!owner || *owner == doubt.owner) continue;
      // TSan's blocks share mappings with tables of the Go runtime; a heap is the heap, whoever writes to it.
      if (doubt.own_stack && *owner == Owner::kRaceInternal) continue;
      // And the kernel merges the program's own mappings with them.
      if (doubt.by_program && *owner == Owner::kGoRuntimeMetadata) continue;
      OwnerBytes& bytes = doubt.arrived ? sample.arrived : sample.bytes;
      uint64_t moved = std::min(doubt.bytes, of(bytes, doubt.owner));
      of(bytes, doubt.owner) -= moved;
      of(bytes, *owner) += moved;
    }
  }
  return samples;
}

Trend trend_of(const std::vector<TrendPoint>& series) {
  std::vector<Point> points;
  points.reserve(series.size());
  for (const TrendPoint& point : series) {
    points.push_back(
        {static_cast<double>(point.time - series.front().time) / 1e9, static_cast<double>(point.value)});
  }
  Trend trend{theil_sen(points)};
  constexpr size_t kParts = 4;
  constexpr double kLeastShare = 0.05;  // of it all, in each part: one step, and noise after it, is no growth
  if (points.size() < kParts) return trend;
  std::array<double, kParts> level = {};
  for (size_t part = 0; part < kParts; ++part) {
    std::vector<double> values;
    for (size_t i = part * points.size() / kParts; i < (part + 1) * points.size() / kParts; ++i) {
      values.push_back(points[i].bytes);
    }
    level[part] = median(values);
  }
  const double grown = level[3] - level[0], least = grown * kLeastShare;
  trend.rising = grown > 0;
  for (size_t part = 1; part < kParts; ++part)
    trend.rising = trend.rising && level[part] - level[part - 1] >= least;
  if (trend.rising) trend.grown_bytes = static_cast<uint64_t>(grown);
  return trend;
}

Trend trend_of(const std::vector<Sample>& samples, std::initializer_list<Owner> owners) {
  std::vector<TrendPoint> points;
  for (const Sample& sample : samples) {
    uint64_t bytes = 0;
    for (Owner owner : owners) bytes += of(sample.bytes, owner);
    points.push_back({sample.time, bytes});
  }
  return trend_of(points);
}

}  // namespace memwhy::explain
