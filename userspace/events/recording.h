// SPDX-License-Identifier: Apache-2.0
// Events about the recording itself: which machine, which clocks, which hooks, what was seen and what was
// lost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace memwhy::events {

// First event of each recording, restated in each rotated part.
struct RecordingInfo {
  std::string tool_version;
  std::string host, kernel_release, architecture;
  uint32_t cpus = 0;
  uint64_t page_bytes = 4096;
  uint32_t part = 0;  // 0, then 1, 2 … when --max-size rotated
  std::vector<std::string>
      what;  // targets as requested: "pid 4711", "comm web", "cgroup /x"; never arguments
  // The path of the requested cgroup; "" none.
  std::string cgroup() const {
    constexpr std::string_view kWord = "cgroup ";
    for (const std::string& each : what)
      if (each.starts_with(kWord)) return each.substr(kWord.size());
    return "";
  }
  bool operator==(const RecordingInfo&) const = default;
};

// One moment on every clock. tick is jiffies64 & MW_ENTRY_TICK_MASK; two anchors give the rate.
struct ClockAnchor {
  uint64_t monotonic_ns = 0, boottime_ns = 0, realtime_ns = 0;
  uint64_t tick = 0;
  bool operator==(const ClockAnchor&) const = default;
};

struct Hook {
  std::string name;     // "page_fault_user"
  std::string attach;   // "tp_btf" | "raw_tp" | "tracepoint" | "fentry" | "kprobe" | "perf_event" | "none"
  std::string purpose;  // "page faults in user mode"
  bool operator==(const Hook&) const = default;
};

// A capability that the recorder kept.
struct Privilege {
  std::string name;    // "CAP_BPF"
  std::string reason;  // by whom, and what for
  bool operator==(const Privilege&) const = default;
};

// Which hooks are attached, chosen by asking the running kernel, and what therefore is not seen. Repeated
// when it changes.
struct HookReport {
  std::vector<Hook> hooks;
  std::string stack_read;             // "direct" | "bulk"
  std::vector<std::string> not_seen;  // sentences: what these hooks cannot see, in any recording
  std::vector<Privilege> privileges = {};
  std::vector<std::string> notices = {};  // sentences: what went wrong in this one

  std::vector<std::string> sentences() const {  // all of them
    std::vector<std::string> all = not_seen;
    all.insert(all.end(), notices.begin(), notices.end());
    return all;
  }
  bool operator==(const HookReport&) const = default;
};

struct ProgramCost {
  std::string program;
  uint64_t runs = 0, run_time_ns = 0;  // as counted
  uint64_t watched_ns = 0;             // for how long it was counted; 0: during the whole recording
  bool operator==(const ProgramCost&) const = default;
};

struct KindCount {
  std::string kind;  // "vma_map", "page_fault" …
  uint64_t seen = 0, delivered = 0, lost = 0;
  bool operator==(const KindCount&) const = default;
};

// Cumulative since the start, at 1 Hz and at the end. For ring kinds seen = delivered + lost.
struct Coverage {
  std::vector<KindCount> kinds;
  std::vector<ProgramCost> programs;
  uint64_t faults_seen = 0, faults_recorded = 0, faults_table_full = 0;
  uint64_t stacks_new = 0, stacks_lost = 0, stacks_unreadable = 0, frames_by_helper = 0;
  uint64_t chunks_used = 0, chunks_limit = 0, stacks_used = 0, stacks_limit = 0;
  // Stacks are copied where code is new, to learn its unwind rules from; refused: more than are learned from at once.
  uint64_t snapshots_taken = 0, snapshots_refused = 0;
  bool operator==(const Coverage&) const = default;
};

// Something did not arrive. `what`: "removal" (forces a rescan), "fork", "exec", "stack", "queue"…
struct Loss {
  SpaceId space{};  // kNone: unknown
  std::string what;
  uint64_t count = 0;
  bool operator==(const Loss&) const = default;
};

struct RecordingEnd {
  std::string why;  // "stopped" | "target_exited" | "duration" | "size" | "output_full"
  bool operator==(const RecordingEnd&) const = default;
};

}  // namespace memwhy::events
