// SPDX-License-Identifier: Apache-2.0
// Selection: which processes are worth a recording, and which units have grown. A pure function of passes over all processes;
// the passes themselves are procfs::AllProcesses'.
//
//   unit       anonymous, each tenth of 5 min                      over the window   grown?
//   api        100 120 140 … 300 MiB                               +200 MiB          yes: >= 64 MiB and >= 10 %, and still growing
//   cache      started 1 min ago, 900 MiB                          unknown           no: not watched for a window
//   batch      10 (started again 5 min ago) 480 480 … 480          +470 MiB          no: it stopped growing in the first half
//
// Processes of units that grow come first, long before they have grown enough for a trigger: what led to it is then in the ring.
// Among them, and then among the others, a process is ranked by the anonymous bytes that no heap profile is known to show, plus
// what its unit has grown. One that is recorded stays unless others exceed it by a quarter. One that has just been started, a
// compiler for example, is not worth it yet: every start is a storm of page faults. Where the budget pays for fewer than there
// should be, those that grow take turns of a minute, the one first that was not recorded for longest. What comes next: recorder.h,
// which records them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace memwhy::agent {

struct Seen {
  Pid pid = 0;
  std::string unit, comm, cgroup;
  uint64_t rss_bytes = 0, anon_bytes = 0;
  TimeNs since = 0;  // when it was first seen; 0: it was there in the first pass
};

struct SelectionRules {
  size_t top = 20;
  uint64_t min_rss_bytes = 16u << 20;
  std::vector<std::string> comms, cgroups;  // only these; empty: all. "/web" and those below it, or a unit
  TimeNs window = 300'000'000'000;
  uint64_t growth_bytes = 64u << 20;
  double growth_share = 0.1;
  uint64_t step_bytes = 256u << 20;
};

struct UnitFigures {
  uint64_t rss_bytes = 0, anon_bytes = 0;
  size_t processes = 0;
  std::optional<int64_t> growth_bytes;  // of anon_bytes over the window; absent: not watched for so long
  bool grown = false, stepped = false;
  uint64_t step_bytes = 0;  // within kStepTime
  bool growing = false;     // a quarter of what `grown` takes, and on
};

// Of those for which `counts`, the one that grew most, within the window or in the last seconds; where none did, the largest.
// nullopt: there is none.
struct MostGrown {
  std::string unit;
  uint64_t bytes = 0;  // 0: none grew
};
std::optional<MostGrown> most_grown(const std::map<std::string, UnitFigures>& units,
                                    const std::function<bool(const std::string&)>& counts);

class Selection {
 public:
  static constexpr TimeNs kStepTime = 10'000'000'000, kTurn = 60'000'000'000;
  static constexpr TimeNs kStartIs = 10;  // one part in so many of the window

  explicit Selection(SelectionRules rules) : rules_(std::move(rules)) {}
  void change(SelectionRules rules) { rules_ = std::move(rules); }

  // One pass. The chosen ones, highest rank first; none of `without`, which can't be recorded.
  std::vector<Seen> pass(TimeNs now, const std::vector<Seen>& all, const std::set<Pid>& without = {});
  // Of the last pass.
  const std::map<std::string, UnitFigures>& units() const { return figures_; }
  // What a heap profile shows of a unit.
  void heap_profile(const std::string& unit, uint64_t bytes) { past_[unit].heap_profile = bytes; }
  // A process of the unit is recorded now; said in each pass.
  void recorded(const std::string& unit, TimeNs now);
  // Fewer than the rules allow: the budget of the agent.
  void limit(size_t most) { most_ = most; }
  size_t most() const { return most_; }
  // In the last pass, without that limit.
  size_t wanted() const { return wanted_; }

 private:
  struct Point {
    TimeNs time = 0;
    uint64_t bytes = 0;
  };
  struct Past {
    std::deque<Point> window, recent;  // each twentieth of the window; each pass of kStepTime
    TimeNs first_seen = 0, last_seen = 0;
    TimeNs recorded_since = 0, recorded_last = 0;
    uint64_t heap_profile = 0;
  };
  // The greater one comes first: it grows, has its turn, waits since then; bytes.
  using Rank = std::tuple<bool, bool, int64_t, double>;
  void begin_pass(TimeNs now);
  bool is_asked_for(const Seen& seen) const;
  bool is_worth_it(TimeNs now, const Seen& seen) const;
  void judge(TimeNs now, const Past& past, UnitFigures& figures) const;
  bool is_growing(TimeNs now, const Past& past, uint64_t bytes) const;
  Rank rank(TimeNs now, const Seen& seen) const;

  SelectionRules rules_;
  size_t most_ = SIZE_MAX, wanted_ = 0;
  TimeNs first_pass_ = 0, last_pass_ = 0;
  std::map<std::string, Past> past_;
  std::map<std::string, UnitFigures> figures_;
  std::set<Pid> chosen_;
};

}  // namespace memwhy::agent
