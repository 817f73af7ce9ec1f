// SPDX-License-Identifier: Apache-2.0
// GoProbes: which rare functions of which Go programs are probed now. One link for each program, on the conditional jumps
// of the functions' stack checks; never a return probe.
//
//   attach   before: the plan has compared the sites' code with the file; after: each first byte must be int3
//            not while something holds the lock of the process's map: the kernel would wait for it where no signal ends
//            the wait, and every fork of the machine with it
//   govern   hits of each function over the last second and more; above the budget the function is given up
//   detach   the link is closed; each first byte must be what it was. While the lock is held, the link is left to bpffs
//
//   space 3   multi link: large_allocation 12/s, heap_grow 0.1/s      (mark_end: 2,411/s, given up)
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "events/go_probe.h"
#include "events/recording.h"
#include "probe/uprobes.h"

namespace memwhy::probe {

// Sums over all CPUs, since load.
struct GoHits {
  std::array<uint64_t, events::kGoFunctions> hits{}, ns{};
};

// One recording's report of it.
class GoReport {
 public:
  void use(events::GoFunction function) { used_[static_cast<size_t>(function)] = true; }
  bool uses(size_t function) const { return used_[function]; }
  void say(std::string sentence);  // each once, and only the first ones of many
  const std::vector<std::string>& sentences() const { return sentences_; }
  bool take_news() { return std::exchange(news_, false); }  // something was reported since

 private:
  std::array<bool, events::kGoFunctions> used_{};
  std::vector<std::string> sentences_;
  bool news_ = false;
};

class GoProbes {
 public:
  // Reports of the recordings of this space; kNone: of all.
  using Reports = std::function<std::vector<GoReport*>(SpaceId)>;
  // Whose lock attaching and taking away would wait for, as a clause; nothing: for none.
  using MapLocked = std::function<std::optional<std::string>(SpaceId, uint64_t site)>;
  // `why_none`: a sentence when no way works.
  GoProbes(bpf_program* program, UprobeWay way, std::string why_none, uint64_t most_hits_per_s,
           Reports reports, MapLocked map_locked)
      : program_(program),
        way_(way),
        why_none_(std::move(why_none)),
        most_hits_per_s_(most_hits_per_s),
        reports_(std::move(reports)),
        map_locked_(std::move(map_locked)) {}

  // A space that has probes already keeps them. What can't be probed is a sentence of its reports.
  void attach(SpaceId space, events::GoProbePlan plan);
  void detach(SpaceId space);
  // Gives up functions that are called too often. true: the report changed.
  bool govern(TimeNs now, const GoHits& sum);

  void report(const GoReport& from, events::HookReport& report) const;
  size_t links() const;

 private:
  struct Attached {
    events::GoProbePlan plan;
    UprobeLinks links;
  };
  Status link(Attached& to) const;
  // false: the probes stay.
  bool unlink(SpaceId space, Attached& from);
  void leave(SpaceId space, Attached& from, const std::string& locked);
  void use(SpaceId space, const events::GoProbePlan& plan);
  void say(SpaceId space, const std::string& sentence);

  bpf_program* program_;
  UprobeWay way_;
  std::string why_none_;
  uint64_t most_hits_per_s_;
  std::map<SpaceId, Attached> attached_;
  Reports reports_;
  MapLocked map_locked_;
  std::array<bool, events::kGoFunctions> given_up_{};
  TimeNs looked_ = 0;
  GoHits before_;
};

}  // namespace memwhy::probe
