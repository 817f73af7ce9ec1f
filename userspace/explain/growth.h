// SPDX-License-Identifier: Apache-2.0
// Growth, judged once and by time: the shape of a series, and how much of an owner's rise is the process's. All rules about
// growth use it; go/books.h adds a collector's own counters. Not the samples (history.h), and not the sentences: rules and
// verdict.h.
//
// A series is judged by its floor, the least of all that follows: what falls again was no growth.
//
//   MiB   480  .  .  .  / \  / \  /            a saw-tooth: the floor stays at 300, and only the last tooth rises
//         300  _____/_\/___\/___\/             → kTeeth
//   floor 300 300 300 300 300 300 480          the unconfirmed end is cut off where the last fall ended
//
// The rise is then cut out of the recording, and examined in four equal parts of its time: it keeps growing (kRising) when
// each part has at least 1/12 of it, and when it has not stood still at the end for twice as long as between any two
// sixteenths of it before. A leak of a step a minute has waits of a minute; a load that ended 4 s ago had none.
// A short peak from which it falls back to where it was, as a copy into a larger block, is left out: the rise before it goes on.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "explain/history.h"

namespace memwhy::explain {

enum class Shape : uint8_t {
  kUnseen,   // fewer than four points
  kLevel,    // neither
  kRising,   // until the end, evenly or in steps
  kStopped,  // rose, and stopped: a load, a step, a cache that is full
  kTeeth,    // goes up and down above a level floor
  kFalling,
  kMoved,  // of an owner: rose by what others of its kind lost
};

// A rise that has lasted so long is called growth; before, it may be a program that starts.
constexpr double kLastingSeconds = 20;

struct Trend {
  std::optional<double> bytes_per_s;  // the median slope by time, of what it does now; needs two points
  Shape shape = Shape::kUnseen;
  bool rising = false;       // Shape::kRising
  uint64_t grown_bytes = 0;  // of the floor, when rising
  uint64_t floor_bytes = 0;  // what the floor rose by, of any shape
  double risen_seconds = 0;  // from where it began to rise to where it last rose
  double still_seconds = 0;  // since it last rose
  double shown_seconds = 0;  // from where it began to rise to the end
  // Since the last fall of a saw-tooth, or of a peak: whether that falls again is unknown.
  uint64_t untested_bytes = 0;
  double untested_seconds = 0;
  bool lasting() const { return rising && shown_seconds >= kLastingSeconds; }
};

struct TrendPoint {
  TimeNs time = 0;
  uint64_t value = 0;
};

Trend trend_of(const std::vector<TrendPoint>& points);
// Of the sum of these owners. Where fewer than three scans saw the rise, it must be most of what its kind rose by: what stands
// between scans is what RSS did.
// Memory of one kind changes its owner (copy on write, free and malloc, an arena that is read
// from now on, buffers that are replaced): together they grow by no more than all owners of their kind.
Trend trend_of(const std::vector<Sample>& samples, std::initializer_list<Owner> owners);

// The samples, and more of them between two scans: an owner moved when RSS did, which is read each second. A scan of a large
// process may come a quarter of a minute late, and what rose in its first second did not rise until its end.
//
//   RSS         100  190  200  200  200  200  200      read each second
//   scans       100                           200      each second in between: 190, 200, 200 …, not 117, 133, 150 …
// An owner of anonymous memory goes with that part of RSS, others with all of it.
struct RssPart {
  TimeNs time = 0;
  uint64_t all = 0, anonymous = 0;
};
std::vector<Sample> with_rss_between(const std::vector<Sample>& samples, const std::vector<RssPart>& rss);

// Memory that becomes another owner's of the same kind when it is replaced.
enum class Kind : uint8_t { kGo, kFile, kShared, kAnonymous };
Kind kind_of(Owner owner);
// Bytes of a kind over time, without these owners.
std::vector<TrendPoint> bytes_of_kind(const std::vector<Sample>& samples, Kind kind,
                                      const std::vector<Owner>& without = {});

}  // namespace memwhy::explain
