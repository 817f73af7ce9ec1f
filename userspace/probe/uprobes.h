// SPDX-License-Identifier: Apache-2.0
// Uprobes: one BPF program attached at some instructions of a file, for one process. UprobeWay is the way in which this kernel
// allows that. The caller decides which instructions are safe; never a return probe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "probe/hooks.h"

struct bpf_program;

namespace memwhy::probe {

// How this kernel lets a user-space instruction be probed.
enum class UprobeWay : uint8_t {
  kMulti,  // one link for many sites, for one address space (Linux 6.6)
  kPerf,   // a perf event for each
  kNone,
};
const char* name_of(UprobeWay way);
constexpr uint32_t kUprobeMulti = 48;  // BPF_TRACE_UPROBE_MULTI, which older headers lack
constexpr uint8_t kBreakpoint = 0xcc;

// Before 6.10 the kernel's own filter let one thread of the process pass only. Without it every process that runs the file
// traps at the sites of a multi link.
bool multi_filters_by_process();

struct UprobeSite {
  uint64_t offset = 0;  // in the file
  uint64_t cookie = 0;
};

// What is attached; detaches when it ends.
struct UprobeLinks {
  std::vector<Link> each;
  Fd multi;
  bool any() const { return multi || !each.empty(); }
  size_t count() const { return multi ? 1 : each.size(); }
  void close() {
    each.clear();
    multi.reset();
  }
  // Without taking the probes away: that would wait. They go when memwhy has ended.
  void abandon() {
    for (Link& link : each) static_cast<void>(link.release());
    close();
  }
};

// The code of every site of the plan has a breakpoint.
template <typename Plan>
bool all_trap(const Plan& plan) {
  return std::all_of(plan.sites.begin(), plan.sites.end(),
                     [&](const auto& site) { return plan.byte_at(site.address) == kBreakpoint; });
}
// say(site) for each whose byte differs from the one before attaching.
template <typename Plan, typename Say>
void each_left_behind(const Plan& plan, Say say) {
  for (const auto& site : plan.sites)
    if (const std::optional<uint8_t> byte = plan.byte_at(site.address); byte && *byte != site.byte) say(site);
}

// Where taking them away would wait for a lock that is held for good: they stay, pinned below /sys/fs/bpf under this name, so that no
// close here is the last one; nothing is in `links` any more. How they go, as a clause: "they go with `rm /sys/fs/bpf/memwhy-7-4711*`".
std::string leave_attached(UprobeLinks& links, const std::string& name);

// `file`: any descriptor of it, O_PATH too. The program was loaded for this way.
Result<UprobeLinks> attach_uprobes(bpf_program* program, UprobeWay way, Pid tgid, const Fd& file,
                                   const std::vector<UprobeSite>& sites);

}  // namespace memwhy::probe
