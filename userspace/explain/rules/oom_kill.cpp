// SPDX-License-Identifier: Apache-2.0
// oom-kill: the kernel killed this process, because its container or the machine had no memory left. What it had then: its
// counters and those of its cgroup are up to a second old, the ledger as old as the last scan.
//
//   scan t=60.0 s, RSS 300 MiB    counters t=63.2, RSS 410 MiB    killed t=63.9
//     → the ledger shows 300 MiB, 3.9 s before; 110 MiB came after it
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr double kFull = 0.95;  // of the limit, at the last reading before

double seconds_before(TimeNs then, TimeNs end) {
  return then < end ? static_cast<double>(end - then) / 1e9 : 0;
}

class OomKill : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    if (!c.process.oom_time || c.samples.empty()) return std::nullopt;
    const TimeNs killed = *c.process.oom_time;
    const Sample& scan = c.samples.back();
    const uint64_t rss = c.process.counters ? c.process.counters->rss_bytes() : scan.rss_bytes;
    Finding finding;
    finding.id = "oom-kill";
    finding.kind = FindingKind::kProblem;
    finding.bytes = scan.rss_bytes;
    finding.of_other_owners = true;
    const bool container = by_container(c, killed);
    const std::string why = container ? fmt::format("its container reached the limit of {}",
                                                    human_bytes(*c.cgroup->memory.limit_bytes))
                                      : "memory ran out";
    finding.headline = fmt::format("killed by the kernel, because {}", why);
    finding.claim = fmt::format("The kernel killed {}, because {}; it had {} then.", c.process.comm, why,
                                human_bytes(rss));
    if (c.process.counters_time)
      finding.evidence.push_back(fmt::format("{:.1f} s before it was killed its RSS was {}",
                                             seconds_before(*c.process.counters_time, killed),
                                             human_bytes(rss)));
    add_cgroup(c, killed, finding);
    finding.evidence.push_back(fmt::format(
        "the ledger is of the scan {:.1f} s before, with {}{}", seconds_before(scan.time, killed),
        human_bytes(scan.rss_bytes),
        rss > scan.rss_bytes ? fmt::format(": {} came after it", human_bytes(rss - scan.rss_bytes)) : ""));
    const bool unknown = !container && c.cgroup != nullptr && !c.cgroup->memory.unified &&
                         c.cgroup->max_events_seen.value_or(0) > 0;
    if (unknown)
      finding.against.push_back(fmt::format(
          "{} hit its limit {} times during the recording: whether it or the machine had no memory "
          "left is not known",
          c.cgroup->memory.path, *c.cgroup->max_events_seen));
    for (const auto& [who, bytes] : c.process.touched_last)
      finding.evidence.push_back(
          fmt::format("since that scan {} touched pages of {} for the first time", who, human_bytes(bytes)));
    finding.bytes_figure("rss_bytes", rss);
    finding.figure("scan_age_seconds", FigureUnit::kRatio, seconds_before(scan.time, killed));
    finding.figure("killed_at", FigureUnit::kTime, static_cast<double>(killed));
    finding.remedy =
        container ? "A higher limit, or less memory: the largest lines of the ledger and what grew say where."
        : unknown
            ? "The kernel's log says which of both it was: \"Memory cgroup out of memory\" is the limit."
            : "More memory for the machine, or less used on it: this process was chosen for its size, "
              "and need not be what grew.";
    finding.confidence = container ? Confidence::kHigh : Confidence::kMedium;
    return finding;
  }

 private:
  // Of the cgroup's usage, before that; nullptr: none.
  static const timeline::CgroupPoint* last_before(const CgroupSummary& cgroup, TimeNs killed) {
    const auto& curve = cgroup.curve;
    const auto after = std::find_if(curve.begin(), curve.end(),
                                    [&](const timeline::CgroupPoint& each) { return each.time > killed; });
    return after == curve.begin() ? nullptr : &*(after - 1);
  }

  // Version 2 counts when its limit left none but to kill. Its count of the killed, all that version 1 has, includes those that
  // the machine's want of memory killed, and a limit is hit without harm where page cache is given up: so it must have been full.
  static bool by_container(const Case& c, TimeNs killed) {
    if (c.cgroup == nullptr || !c.cgroup->memory.limit_bytes) return false;
    if (c.cgroup->memory.unified) return c.cgroup->oom_events_seen.value_or(0) > 0;
    if (c.cgroup->oom_kills_seen.value_or(0) == 0) return false;
    const timeline::CgroupPoint* last = last_before(*c.cgroup, killed);
    return last != nullptr && static_cast<double>(last->usage_bytes) >=
                                  kFull * static_cast<double>(*c.cgroup->memory.limit_bytes);
  }

  static void add_cgroup(const Case& c, TimeNs killed, Finding& finding) {
    if (c.cgroup == nullptr) return;
    const timeline::CgroupPoint* last = last_before(*c.cgroup, killed);
    if (last == nullptr) return;
    const auto& limit = c.cgroup->memory.limit_bytes;
    finding.evidence.push_back(fmt::format(
        "{:.1f} s before, {} used {}{}", seconds_before(last->time, killed), c.cgroup->memory.path,
        human_bytes(last->usage_bytes), limit ? " of " + human_bytes(*limit) : ", without a limit"));
    if (c.cgroup->oom_kills_seen.value_or(0) > 0)
      finding.evidence.push_back(
          fmt::format("that cgroup counted {} killed during the recording", *c.cgroup->oom_kills_seen));
  }
};

}  // namespace

const Rule& oom_kill_rule() {
  static const OomKill kRule;
  return kRule;
}

}  // namespace memwhy::explain
