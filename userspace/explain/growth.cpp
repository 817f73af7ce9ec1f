// SPDX-License-Identifier: Apache-2.0
#include "explain/growth.h"

#include <algorithm>
#include <cmath>

#include "base/whole.h"

namespace memwhy::explain {
namespace {

constexpr size_t kLeastPoints = 4;
constexpr size_t kLeastScans = 3;     // that saw an owner rise
constexpr double kLeastSlope = 1;     // seconds: of less a rate a minute is noise
constexpr size_t kSlopePoints = 128;  // pairs grow with the square
constexpr size_t kParts = 4, kSixteenths = 16;
constexpr double kLeastShare = 1.0 / 12;  // of the rise, in each part of its time
constexpr double kOnsetShare = 1.0 / 32;  // of the rise: before that it had not begun
constexpr double kTeethShare = 1.0 / 4;   // of all that is moved: a fall that is more than noise
constexpr double kSpikeShare = 1.0 / 8;   // of the time seen: a peak that is longer is a tooth
constexpr size_t kMostSpikes = 8;
constexpr double kUntestedShare = 0.9;     // of an owner's rise
constexpr double kMostStill = 2;           // times the longest wait before
constexpr double kLeastStill = 5;          // the seconds that show how fast it moves since it stopped
constexpr size_t kMostBetween = 1024;      // samples that are made between scans
constexpr double kSmallShare = 1.0 / 256;  // of the largest value: noise

struct Point {
  double seconds = 0, value = 0;
};

// Slopes of all pairs, each by the time that its two points cover: readings are dense where something moves, and ten
// of them in a second reveal no more than one.
std::optional<double> slope_by_time(const std::vector<Point>& points) {
  if (points.empty() || points.back().seconds - points.front().seconds < kLeastSlope) return std::nullopt;
  const size_t step = (points.size() + kSlopePoints - 1) / kSlopePoints;
  std::vector<Point> kept;
  for (size_t i = 0; i < points.size(); i += step) kept.push_back(points[i]);
  const auto weight = [&](size_t i) {
    const double before = i == 0 ? 0 : kept[i].seconds - kept[i - 1].seconds;
    const double after = i + 1 == kept.size() ? 0 : kept[i + 1].seconds - kept[i].seconds;
    return (before + after) / 2;
  };
  std::vector<std::pair<double, double>> slopes;  // slope, weight
  double all = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    for (size_t k = i + 1; k < kept.size(); ++k) {
      const double seconds = kept[k].seconds - kept[i].seconds;
      if (seconds <= 0) continue;
      slopes.emplace_back((kept[k].value - kept[i].value) / seconds, weight(i) * weight(k));
      all += slopes.back().second;
    }
  }
  if (slopes.empty()) return std::nullopt;
  std::sort(slopes.begin(), slopes.end());
  double sum = 0;
  for (const auto& [slope, share] : slopes)
    if ((sum += share) * 2 >= all) return slope;
  return slopes.back().first;
}

// What is left of each value at the end: the least from here on.
std::vector<Point> floor_of(std::vector<Point> points) {
  for (size_t i = points.size(); i-- > 1;)
    points[i - 1].value = std::min(points[i - 1].value, points[i].value);
  return points;
}

// Of a line through the points.
double value_at(const std::vector<Point>& line, double seconds) {
  const auto after = std::upper_bound(line.begin(), line.end(), seconds,
                                      [](double at, const Point& point) { return at < point.seconds; });
  if (after == line.begin()) return line.front().value;
  if (after == line.end()) return line.back().value;
  const Point &a = *(after - 1), &b = *after;
  return a.value + (b.value - a.value) * (seconds - a.seconds) / (b.seconds - a.seconds);
}

// When a line that never falls is first at this value.
double time_at(const std::vector<Point>& line, double value) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i].value < value) continue;
    if (i == 0 || line[i].value == line[i - 1].value) return line[i].seconds;
    const Point &a = line[i - 1], &b = line[i];
    return a.seconds + (b.seconds - a.seconds) * (value - a.value) / (b.value - a.value);
  }
  return line.back().seconds;
}

double largest_fall(const std::vector<Point>& points) {
  double highest = points.front().value, fall = 0;
  for (const Point& point : points) {
    highest = std::max(highest, point.value);
    fall = std::max(fall, highest - point.value);
  }
  return fall;
}

// Where the last fall of at least `fall` ended: what rises after it has not been put to the test. `points.size()`: nowhere.
size_t end_of_last_fall(const std::vector<Point>& points, double fall) {
  size_t found = points.size();
  size_t high = 0, low = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].value > points[high].value || points[i].value - points[low].value >= fall) high = low = i;
    if (points[i].value < points[low].value) low = i;
    if (points[high].value - points[low].value >= fall) found = low;
  }
  return found;
}

struct Rise {
  double begun = 0, last = 0, longest_wait = 0;
  bool even = true;  // each part of its time has its share
};

// Of a line that never falls and rises by `grown`.
Rise rise_of(const std::vector<Point>& floor, double grown) {
  const double from = floor.front().value, end = floor.back().seconds;
  Rise rise;
  // The last moment before it rose by more than nothing.
  rise.begun = floor.front().seconds;
  for (const Point& point : floor)
    if (point.value - from <= grown * kOnsetShare) rise.begun = point.seconds;
  double before = rise.begun;
  for (size_t i = 1; i < kSixteenths; ++i) {
    const double at =
        std::max(time_at(floor, from + grown * static_cast<double>(i) / kSixteenths), rise.begun);
    rise.longest_wait = std::max(rise.longest_wait, at - before);
    before = at;
  }
  // A creep after a load is no rise.
  rise.last = std::max(time_at(floor, from + grown * (1 - kOnsetShare)), before);
  for (size_t part = 0; part < kParts; ++part) {
    const auto at = [&](size_t k) {
      return value_at(floor, rise.begun + (end - rise.begun) * static_cast<double>(k) / kParts);
    };
    rise.even = rise.even && at(part + 1) - at(part) >= grown * kLeastShare;
  }
  return rise;
}

// What is not growth, by where it was and is.
Shape other_shape(const std::vector<Point>& points, double moved, double grown) {
  const double first = points.front().value, last = points.back().value;
  if (moved <= 0) return Shape::kLevel;
  if (grown * 2 >= moved) return Shape::kStopped;
  if (first - last >= moved / 2) return Shape::kFalling;
  return Shape::kTeeth;
}

Trend judged(const std::vector<Point>& points, size_t spikes = kMostSpikes);

// A peak that is over, and what rises since then above it: the peak is no tooth of it.
std::optional<Trend> risen_above(const std::vector<Point>& points, size_t last_fall) {
  const double start = points.front().seconds, end = points.back().seconds;
  if (end - points[last_fall].seconds < (end - start) / 2) return std::nullopt;
  const auto low = points.begin() + static_cast<std::ptrdiff_t>(last_fall);
  if (std::any_of(points.begin(), low,
                  [&](const Point& point) { return point.value >= points.back().value; }))
    return std::nullopt;
  Trend since = judged({low, points.end()});
  return since.rising ? std::optional(since) : std::nullopt;
}

// A short peak from which the fall led back to where the rise was: a copy into a larger block, a burst. Without it the rise is
// the same before and after; what only began after the last peak may be its next one.
std::optional<Trend> risen_through(const std::vector<Point>& points, size_t last_fall, size_t spikes) {
  const auto low = points.begin() + static_cast<std::ptrdiff_t>(last_fall);
  const auto above = [&](const Point& point) { return point.value > low->value; };
  const auto peak = std::find_if_not(std::make_reverse_iterator(low), points.rend(), above).base();
  if (spikes == 0 || peak == points.begin()) return std::nullopt;
  const double before = (peak - 1)->seconds, end = points.back().seconds;
  if (low->seconds - before > (end - points.front().seconds) * kSpikeShare) return std::nullopt;
  std::vector<Point> others(points.begin(), peak);
  others.insert(others.end(), low, points.end());
  Trend without = judged(others, spikes - 1);
  const bool began_before = without.rising && end - without.shown_seconds < before;
  return began_before ? std::optional(without) : std::nullopt;
}

Trend judged(const std::vector<Point>& points, size_t spikes) {
  Trend trend;
  trend.bytes_per_s = slope_by_time(points);
  if (points.size() < kLeastPoints) return trend;
  const auto [least, most] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.value < b.value; });
  const double moved = most->value - least->value, highest = most->value, end = points.back().seconds;
  const double fall = largest_fall(points);
  const bool teeth = fall > moved * kTeethShare;
  std::vector<Point> seen = points;
  if (const size_t last = end_of_last_fall(points, fall / 2); teeth && last < points.size()) {
    seen.resize(last + 1);
    trend.untested_seconds = end - points[last].seconds;
    trend.untested_bytes = whole(points.back().value - points[last].value);
    if (const std::optional<Trend> since = risen_above(points, last)) return *since;
    if (const std::optional<Trend> through = risen_through(points, last, spikes)) return *through;
  }
  const std::vector<Point> floor = floor_of(seen);
  const double grown = floor.back().value - floor.front().value;
  trend.floor_bytes = whole(grown);
  const double noise = highest * kSmallShare;
  if (grown <= noise) {
    trend.shape = moved <= noise ? Shape::kLevel : other_shape(points, moved, grown);
    return trend;
  }
  const Rise rise = rise_of(floor, grown);
  trend.risen_seconds = rise.last - rise.begun;
  trend.still_seconds = end - rise.last;
  trend.shown_seconds = end - rise.begun;
  // What follows the last fall is no wait: nothing is known of its floor.
  const double longest = kMostStill * rise.longest_wait, judged_to = floor.back().seconds;
  const bool waits = judged_to - rise.last > longest || end - judged_to > longest;
  trend.rising = rise.even && !waits && floor.size() >= kLeastPoints;
  const bool above_teeth = !teeth || grown > fall;
  trend.shape = trend.rising ? Shape::kRising : above_teeth ? Shape::kStopped : Shape::kTeeth;
  // One trough is found by chance; the deepest of several is the floor.
  if (trend.shape == Shape::kTeeth) {
    double deepest = highest;
    for (const Point& point : points)
      if (point.seconds >= points.front().seconds + (end - points.front().seconds) * 2 / 3)
        deepest = std::min(deepest, point.value);
    trend.floor_bytes = whole(deepest - floor.front().value);
  }
  if (trend.rising) trend.grown_bytes = trend.floor_bytes;
  // What it did before it stopped is not what it does.
  if (trend.shape == Shape::kStopped && trend.still_seconds >= kLeastStill)
    trend.bytes_per_s =
        (points.back().value - value_at(points, end - trend.still_seconds / 2)) / (trend.still_seconds / 2);
  return trend;
}

struct Way {
  double all = 0, anonymous = 0;  // parts of it
};

// What each owner had on the way from one scan to the next.
Sample on_the_way(const Sample& from, const Sample& to, const Way& way, TimeNs time) {
  const auto between = [](uint64_t a, uint64_t b, double part) {
    const double value = static_cast<double>(a) + (static_cast<double>(b) - static_cast<double>(a)) * part;
    return nearest(value);
  };
  Sample out;
  out.time = time;
  out.between_scans = true;
  out.rss_bytes = between(from.rss_bytes, to.rss_bytes, way.all);
  for (size_t i = 0; i < kOwnerCount; ++i) {
    const Kind kind = kind_of(static_cast<Owner>(i));
    const bool anonymous = kind == Kind::kAnonymous || kind == Kind::kGo;
    out.bytes[i] = between(from.bytes[i], to.bytes[i], anonymous ? way.anonymous : way.all);
  }
  return out;
}

double seconds_of(TimeNs from, TimeNs to) { return to > from ? static_cast<double>(to - from) / 1e9 : 0; }

std::vector<Point> in_seconds(const std::vector<TrendPoint>& series) {
  std::vector<Point> points;
  points.reserve(series.size());
  for (const TrendPoint& point : series) {
    const double seconds = seconds_of(series.front().time, point.time);
    const Point next{seconds, static_cast<double>(point.value)};
    // Two of one moment: the later one.
    if (!points.empty() && points.back().seconds >= seconds)
      points.back().value = next.value;
    else
      points.push_back(next);
  }
  return points;
}

size_t scans_since(const std::vector<Sample>& samples, double seconds) {
  const double from = seconds_of(samples.front().time, samples.back().time) - seconds;
  return static_cast<size_t>(std::count_if(samples.begin(), samples.end(), [&](const Sample& sample) {
    return !sample.between_scans && seconds_of(samples.front().time, sample.time) >= from;
  }));
}

Trend no_rise(Trend trend, Shape shape) {
  trend.rising = false;
  trend.grown_bytes = 0;
  trend.shape = shape;
  return trend;
}

// A part of RSS over time.
class PartCurve {
 public:
  PartCurve(const std::vector<RssPart>& rss, uint64_t RssPart::*part) : start_(rss.front().time) {
    std::vector<TrendPoint> series;
    for (const RssPart& point : rss) series.push_back({point.time, point.*part});
    curve_ = in_seconds(series);
  }
  // How far it was at `at` of the way that it went between two times.
  double part_of_way(TimeNs from, TimeNs to, TimeNs at) const {
    const double first = value(from), moved = value(to) - first;
    // Where it hardly moved, owners may have: evenly.
    if (std::abs(moved) <= first * kSmallShare)
      return static_cast<double>(at - from) / static_cast<double>(to - from);
    return std::clamp((value(at) - first) / moved, 0.0, 1.0);
  }

 private:
  double value(TimeNs time) const { return value_at(curve_, seconds_of(start_, time)); }
  TimeNs start_;
  std::vector<Point> curve_;
};

}  // namespace

Trend trend_of(const std::vector<TrendPoint>& series) {
  if (series.empty()) return {};
  return judged(in_seconds(series));
}

std::vector<Sample> with_rss_between(const std::vector<Sample>& samples, const std::vector<RssPart>& rss) {
  if (rss.size() < 2) return samples;
  const PartCurve all(rss, &RssPart::all), anonymous(rss, &RssPart::anonymous);
  const size_t step = (rss.size() + kMostBetween - 1) / kMostBetween;
  std::vector<Sample> out;
  size_t next = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    out.push_back(samples[i]);
    if (i + 1 == samples.size()) break;
    const Sample &from = samples[i], &to = samples[i + 1];
    while (next < rss.size() && rss[next].time <= from.time) next += step;
    for (; next < rss.size() && rss[next].time < to.time; next += step) {
      const TimeNs at = rss[next].time;
      out.push_back(on_the_way(
          from, to, {all.part_of_way(from.time, to.time, at), anonymous.part_of_way(from.time, to.time, at)},
          at));
    }
  }
  return out;
}

Kind kind_of(Owner owner) {
  switch (owner) {
    case Owner::kFileText:
    case Owner::kFileShared:
      return Kind::kFile;
    case Owner::kShmem:
      return Kind::kShared;
    default:
      break;
  }
  return owner <= Owner::kGoRuntimeGcWork ? Kind::kGo : Kind::kAnonymous;
}

std::vector<TrendPoint> bytes_of_kind(const std::vector<Sample>& samples, Kind kind,
                                      const std::vector<Owner>& without) {
  std::vector<TrendPoint> points;
  for (const Sample& sample : samples) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < kOwnerCount; ++i) {
      const Owner owner = static_cast<Owner>(i);
      if (kind_of(owner) == kind && std::find(without.begin(), without.end(), owner) == without.end())
        bytes += sample.bytes[i];
    }
    points.push_back({sample.time, bytes});
  }
  return points;
}

Trend trend_of(const std::vector<Sample>& samples, std::initializer_list<Owner> owners) {
  std::vector<TrendPoint> points;
  for (const Sample& sample : samples) {
    uint64_t bytes = 0;
    for (Owner owner : owners) bytes += of(sample.bytes, owner);
    points.push_back({sample.time, bytes});
  }
  Trend trend = trend_of(points);
  if (!trend.rising || owners.size() == 0) return trend;
  const std::vector<TrendPoint> kind = bytes_of_kind(samples, kind_of(*owners.begin()));
  // Since the kind fell, and not yet as high as before: the owner may only take the place of what left.
  const Trend of_all = trend_of(kind);
  if (!of_all.rising && of_all.untested_seconds >= trend.shown_seconds * kUntestedShare)
    return no_rise(trend, Shape::kTeeth);
  // What all of its kind rose by from where it began to rise, floor to floor.
  const std::vector<Point> all = floor_of(in_seconds(kind));
  const double end = all.back().seconds;
  const double of_kind = all.back().value - value_at(all, end - trend.shown_seconds);
  const double grown = static_cast<double>(trend.grown_bytes);
  // Few scans show how much it rose, but not how: it takes the shape of its kind, of which it must be the larger part.
  if (of_kind > 2 * grown && scans_since(samples, trend.shown_seconds) < kLeastScans)
    return no_rise(trend, Shape::kUnseen);
  if (of_kind >= grown) return trend;
  trend.grown_bytes = whole(of_kind);
  if (of_kind * 2 >= grown) {
    if (trend.bytes_per_s) *trend.bytes_per_s *= of_kind / grown;
    return trend;
  }
  return no_rise(trend, Shape::kMoved);  // most of it was another's before
}

}  // namespace memwhy::explain
