// SPDX-License-Identifier: Apache-2.0
// What the sampler keeps of one address space. Private to the sampler: sampler.cpp and sampler_read.cpp.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "record/allowance.h"
#include "record/sampler.h"

namespace memwhy::record {

constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();
constexpr TimeNs kTickPeriod = 1'000'000'000;
constexpr TimeNs kRestatePeriod = 60'000'000'000;
constexpr TimeNs kOpenForkAfter = 100'000'000;
constexpr TimeNs kConfirmAfter = 110'000'000;  // two looks at the ring, and some
constexpr TimeNs kGrace = 200'000'000;         // for the kernel's word of an end to arrive
constexpr TimeNs kExecTakes =
    30'000'000'000;                    // at most, from the end of the old space to the start of the new one
constexpr uint64_t kScanBudget = 100;  // a scan is repeated at once for at most 1/100 of a CPU
constexpr size_t kWaitingStacks = 4096;
constexpr size_t kStacksAtOnce = 64;          // that are named by one question
constexpr size_t kMostNotices = 16;           // a sentence each; further ones are counted
constexpr TimeNs kGoPeriod = 60'000'000'000;  // of profile and goroutines
constexpr uint64_t kGoBudget = 50;            // or with each scan, for at most 1/50 of a CPU
// All that is read of Go: at most 1/100 of a CPU, in the long run. The first half second is free: a short recording needs
// its first and its last reading. What it took is told when it was more than the share, and more than kGoUntoldNs.
constexpr uint64_t kGoShare = 100;
constexpr uint64_t kGoFreeNs = 500'000'000;
constexpr uint64_t kGoUntoldNs = 200'000'000;

// Names of each target's stacks: honest programs need less than the free part.
constexpr uint64_t kNamesFreeNs = 3'000'000'000, kNamesShare = 20;
// Looking at children for the first time, of all targets together.
constexpr uint64_t kMeetFreeNs = 1'000'000'000, kMeetShare = 10;

// Read of /proc, and not yet certain to be of this space.
struct Pending {
  events::SpaceStart identity;
  std::vector<events::Vma> vmas;
  TimeNs read_at = 0;
};

struct Sampler::Target {
  SpaceId space{};
  Pid tgid = 0;
  events::SpaceStart start;               // as the kernel told it
  std::unique_ptr<ProcessSource> source;  // null: not opened yet, or gone before
  std::optional<Pending> pending;
  std::string machine;   // of its executable; "" unknown
  bool foreign = false;  // a program for another machine: its stacks mean nothing to us

  std::vector<events::Vma> vmas;
  TimeNs vmas_at = 0;
  std::vector<events::Stack> waiting;  // stacks that came before the first VMA list, or when names were dear
  Allowance names{kNamesFreeNs, kNamesShare};
  bool unmet = false;                         // it was not looked at when it was due: looking was dear
  bool names_cut = false, share_cut = false;  // that was told

  TimeNs open_at = kNever, confirm_at = kNever, check_at = kNever;
  TimeNs next_tick = kNever, next_scan = kNever, next_restate = kNever;
  TimeNs missing_since = kNever;
  TimeNs scan_allowed_at = 0;  // for scans out of turn
  bool rescan = false;         // wanted out of turn
  TimeNs go_allowed_at = 0;    // for profile and goroutines
  TimeNs go_since = kNever;    // the first reading of Go's tables
  bool go_stretched = false;   // scans are farther apart than they should be, for Go's sake

  uint64_t rss_bytes = 0;
  uint64_t rss_at_scan = 0;
  TargetCost cost;

  // When what was read of Go is paid for.
  TimeNs go_paid_at() const {
    return cost.go_cpu_ns <= kGoFreeNs ? 0 : go_since + kGoShare * (cost.go_cpu_ns - kGoFreeNs);
  }
  TimeNs scan_due() const {
    return rescan && source && !pending ? std::min(next_scan, scan_allowed_at) : next_scan;
  }
  TimeNs due() const { return std::min({open_at, confirm_at, check_at, next_tick, scan_due()}); }
};

}  // namespace memwhy::record
