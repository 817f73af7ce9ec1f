// SPDX-License-Identifier: Apache-2.0
// What the sampler keeps of one address space, and all of them by their space. Values and a container: roster.h decides which
// targets are in it, readings.h what is read of one.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "record/allowance.h"
#include "record/costs.h"
#include "record/schedule.h"
#include "record/sources.h"

namespace memwhy::record {

// Names of each target's stacks: honest programs need less than the free part.
constexpr uint64_t kNamesFreeNs = 3'000'000'000, kNamesShare = 20;

// Read of /proc, and not yet certain to be of this space.
struct Pending {
  events::SpaceStart identity;
  std::vector<events::Vma> vmas;
  TimeNs read_at = 0;
};

// What reading one runtime of a target has cost, and when more of it may be read.
struct RuntimeState {
  std::string name, title;  // "go", "Go"
  uint64_t reads = 0, cpu_ns = 0;
  TimeNs since = kNever;          // its first reading
  TimeNs details_allowed_at = 0;  // what takes long
  bool stretched = false;  // scans are farther apart than they should be, for its sake; and that was reported
  bool crowded_out = false;  // too many other runtimes hold pages already; and that was reported
};

struct Target {
  SpaceId space{};
  Pid tgid = 0;
  events::SpaceStart start;               // as the kernel reported it
  events::SpaceStart told;                // as it was emitted last
  std::unique_ptr<ProcessSource> source;  // null: not opened yet, or gone before
  std::optional<Pending> pending;
  std::string machine;   // of its executable; "" unknown
  bool foreign = false;  // a program for another machine: its stacks mean nothing to us

  std::vector<events::Vma> vmas;
  TimeNs vmas_at = 0;
  std::vector<events::Stack>
      waiting;  // stacks that came before the first VMA list, or when the allowance for names was used up
  Allowance names{kNamesFreeNs, kNamesShare};
  bool unmet = false;                         // it was not checked when it was due: the allowance was used up
  bool names_cut = false, share_cut = false;  // that was reported

  Schedule schedule;
  std::vector<RuntimeState> runtimes;  // in the order in which they were first read
  uint64_t rss_bytes = 0;
  uint64_t rss_at_scan = 0;
  std::optional<uint64_t> resident_pages;  // at the last tick
  TimeNs counted_at = 0;                   // the last tick that was not put off
  TargetCost cost;

  bool readable() const { return source != nullptr && !pending; }
  TimeNs scan_due() const { return schedule.scan_due(readable()); }
  TimeNs due() const { return schedule.due(readable()); }
};

class Targets {
 public:
  Target* find(SpaceId space) {
    const auto found = all_.find(space);
    return found == all_.end() ? nullptr : found->second.get();
  }
  Target* find_owner(Pid tgid) {
    const auto found = std::find_if(all_.begin(), all_.end(),
                                    [tgid](const auto& each) { return each.second->tgid == tgid; });
    return found == all_.end() ? nullptr : found->second.get();
  }
  Target& make(SpaceId space, Pid tgid) {
    auto target = std::make_unique<Target>();
    target->space = target->cost.space = space;
    target->tgid = target->cost.tgid = tgid;
    return *(all_[space] = std::move(target));
  }
  void erase(SpaceId space) { all_.erase(space); }
  void clear() { all_.clear(); }

  bool empty() const { return all_.empty(); }
  size_t size() const { return all_.size(); }
  // Spaces, for those that may end on the way.
  std::vector<SpaceId> spaces() const {
    std::vector<SpaceId> out;
    out.reserve(all_.size());
    for (const auto& [space, target] : all_) out.push_back(space);
    return out;
  }
  // In order of space; of a constant one, constant targets.
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::map<SpaceId, std::unique_ptr<Target>> all_;
};

}  // namespace memwhy::record
