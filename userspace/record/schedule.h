// SPDX-License-Identifier: Apache-2.0
// Schedule: when each reading of one target is due. It reads nothing and has no clock: times come in, the next one comes out.
//
//   t=0     confirmed         begin(0)            tick 1.0   scan 0.0   restate 60.0
//   t=0     scanned           scanned_at(0, 10 s)            scan 10.0
//   t=3.1   RSS moved 5 %     rescan              scan_due() = allowed_at: at once, or when the last scan is paid for
//   t=4     a loss of "exec"  check_at 4          does it still exist?
//
// Not the budget of a runtime (runtime_reader.h), which moves a scan further away.
#pragma once

#include <algorithm>
#include <limits>

#include "base/ids.h"

namespace memwhy::record {

constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();
constexpr TimeNs kTickPeriod = 1'000'000'000;
constexpr TimeNs kRestatePeriod = 60'000'000'000;
constexpr uint64_t kScanBudget = 100;  // a scan is repeated at once for up to 1/100 of a CPU

struct Schedule {
  TimeNs open_at = kNever, confirm_at = kNever, check_at = kNever;
  TimeNs details_at = kNever;  // of runtimes, that the first scan put off
  TimeNs next_tick = kNever, next_scan = kNever, next_restate = kNever;
  TimeNs missing_since = kNever;
  TimeNs scan_allowed_at = 0;  // for scans out of turn
  bool rescan = false;         // wanted out of turn

  // From now on all of it is read.
  void begin(TimeNs now) {
    next_tick = now + kTickPeriod;
    next_restate = now + kRestatePeriod;
    next_scan = now;
  }
  // The 1 Hz reading is due, and was made; readings that were missed are not made up for.
  bool take_tick(TimeNs now) {
    if (next_tick > now) return false;
    next_tick += ((now - next_tick) / kTickPeriod + 1) * kTickPeriod;
    return true;
  }
  void scan_begins(TimeNs now, TimeNs period) {
    next_scan = now + period;
    rescan = false;
  }
  void scan_ended(TimeNs now, uint64_t cpu_ns) { scan_allowed_at = now + kScanBudget * cpu_ns; }
  // No scan is due before, whatever requested it.
  void delay_scans(TimeNs until) {
    scan_allowed_at = std::max(scan_allowed_at, until);
    next_scan = std::max(next_scan, until);
  }
  void look_at(TimeNs time) { check_at = std::min(check_at, time); }

  // `readable`: its files are open, and are certain to be its own.
  TimeNs scan_due(bool readable) const {
    return rescan && readable ? std::min(next_scan, scan_allowed_at) : next_scan;
  }
  TimeNs due(bool readable) const {
    return std::min({open_at, confirm_at, check_at, details_at, next_tick, scan_due(readable)});
  }
};

}  // namespace memwhy::record
