// SPDX-License-Identifier: Apache-2.0
// Explanation: the whole answer as values, computed once. Formats in report/ only print it; the field names
// are the keys of `memwhy explain --json` (format memwhy.explain/1). Unknown is absent (null), never 0.
// Shares are 0-1, bytes are integers, times are CLOCK_MONOTONIC ns until report/ converts them with the
// anchors.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "explain/go_activity.h"

namespace memwhy::explain {

// An entry under an owner: the heaviest pieces of evidence.
struct TopEntry {
  uint64_t bytes = 0;
  std::string what;                 // "stack" | "file" | "vma" | "goroutine-group" | "size-class"
  std::string how;                  // "fault" | "mmap site" | "inherited by fork" …
  std::vector<std::string> frames;  // "func (file:line)", innermost first
  bool truncated = false;
  std::string name;  // of the file or mapping
  std::optional<double> age_s;
};

struct LedgerLine {
  std::string id;     // architecture §4.1, stable
  std::string label;  // for people
  uint64_t bytes = 0;
  std::optional<double> growth_bytes_per_s;  // needs two scans
  std::optional<double> arrived_bytes_per_s, left_bytes_per_s;
  bool in_heap_profile = false;
  std::array<uint64_t, 4> ages = {};  // bytes older than 10 s, 1 min, 10 min, 1 h
  bool ages_known = true;  // false: the line is a part of pages, of which only the whole has an age
  uint64_t huge_bytes = 0, lazy_bytes = 0;
  std::vector<TopEntry> top;
};

// What the Go runtime counted, virtual bytes.
struct GoTimelinePoint {
  uint64_t live_bytes = 0;  // marked by the last collection
  std::optional<uint64_t>
      goal_bytes;  // where the next begins to end; absent: nowhere (GOGC=off), or not known
  uint64_t allocated_bytes = 0, freed_bytes = 0;  // since the program started
  uint32_t gc_cycle = 0;
  uint64_t released_bytes = 0;     // given back to the system, or never touched
  int32_t gc_percent = 0;          // GOGC; -1: off
  int64_t memory_limit_bytes = 0;  // GOMEMLIMIT; INT64_MAX: none
  std::optional<GoAllocationRates> allocation =
      std::nullopt;  // since the reading before; absent: not read, or the first
};

struct TimelinePoint {
  TimeNs time = 0;
  uint64_t rss_bytes = 0;
  std::map<std::string, uint64_t> ledger;                             // empty between scans
  std::map<std::string, std::pair<uint64_t, uint64_t>> arrived_left;  // bytes since the point before
  std::optional<GoTimelinePoint> go;                                  // read within half a second of it
};

struct TimelineEvent {
  TimeNs time = 0;
  std::string what;  // "gc" | "step" | "released" | "oom" | "exec" | "fork" | "limit" | "thp"
  std::string text;
  std::optional<uint64_t> bytes;
  std::optional<GoCycle> gc = std::nullopt;
};

enum class FindingKind : uint8_t { kExplains, kProblem };
enum class Confidence : uint8_t { kHigh, kMedium, kLow };

struct Finding {
  std::string id;  // architecture §4.2, stable
  FindingKind kind = FindingKind::kExplains;
  std::string claim;  // one sentence with bytes
  uint64_t bytes = 0;
  double share = 0;  // of rss.bytes
  std::optional<double> growth_bytes_per_s;
  std::optional<uint64_t> recoverable_bytes;
  std::string remedy;
  Confidence confidence = Confidence::kLow;
  std::vector<std::string> evidence, against;
  std::vector<std::string> owners;  // the ledger lines that its bytes are of
};

struct RssSummary {
  uint64_t bytes = 0;  // pages of one scan pass; the ledger's leaves sum to it
  uint64_t anon = 0, file = 0, shmem = 0;
  std::optional<uint64_t> start_bytes, peak_bytes;
  std::optional<uint64_t> counter_bytes,
      counter_error_bytes;  // VmRSS around the pass, with the kernel's error bound
};

// How still the Go heap was while it was read for the ledger.
struct GoHeapReading {
  bool quiet = false;  // no counter of the runtime moved
  uint64_t spans = 0, spans_in_motion = 0;
  // Whether the lines of the heap are blurred by it.
  bool changed() const { return !quiet || spans_in_motion * 100 > spans; }
};

// What was read of a runtime or allocator for the ledger.
struct RuntimeReading {
  std::string runtime;  // "go"
  std::string trust;    // "verified" | "unverified" | "unreadable"
  std::string problem;  // one sentence when not verified, or when the ledger has no lines for it
  uint64_t conflict_bytes =
      0;  // of what it claims, resident or not: claimed by another runtime that was asked before it
};

struct ProcessCoverage {
  uint64_t unattributed_bytes = 0, before_attach_bytes = 0, truncated_stack_bytes = 0;
  std::optional<int64_t> rss_gap_bytes;  // counter_bytes - bytes
  uint64_t stale_bytes = 0;
  uint64_t lost_stack_bytes = 0;
  uint64_t doubtful_bytes = 0;  // evidence older than a removal that was lost
  bool scan_complete = true;
  std::optional<GoHeapReading> go_heap;  // absent: the runtime's tables were not used
  std::vector<RuntimeReading> runtimes;  // in the order in which they claim pages
};

// The heap that the next collection is to end at. Absent: no such (GOGC=off without a limit), or it was not read.
inline std::optional<uint64_t> heap_goal(const events::GoCounters& counters) {
  return events::has_goal(counters.goal_bytes) ? std::optional(counters.goal_bytes) : std::nullopt;
}

// Collections while memwhy watched, and how long they stopped the world.
struct GoPauseSummary {
  uint64_t collections = 0, missed = 0;  // missed: more than 256 between two polls
  uint64_t total_ns = 0, longest_ns = 0;
  uint64_t marks = 0, mark_total_ns = 0, mark_longest_ns = 0;  // marks: that probes saw start and end
  uint64_t listed = 0;                                         // "gc" events: the latest and the longest
};

struct GoSummary {
  std::string version;
  bool race = false, cgo = false, stripped = false;
  std::string layout = "none";                  // "dwarf" | "table" | "unverified" | "none"
  std::string layout_problem;                   // one sentence when the runtime's tables are not used
  std::optional<events::GoCounters> totals;     // virtual bytes, GOGC and GOMEMLIMIT among them
  std::optional<GoPauseSummary> pauses;         // absent: the counters were not read
  std::optional<GoAllocationRates> allocation;  // from the first reading to the last
  GoAllocationSites sites;
  GoSteps steps;
};

// Goroutines with the same stack, wait reason and creation site.
struct GoroutineGroup {
  uint64_t count = 0;
  std::string wait_reason;              // "" running, runnable or in a system call
  std::string site, created_at;         // "func (file:line)"; "" unknown
  std::optional<TimeNs> waiting_since;  // at least one of them, at least since
  std::optional<uint64_t>
      kept_bytes;            // virtual, reachable from this group alone; absent: the walk was cut short
  uint64_t stack_bytes = 0;  // virtual
  std::vector<std::string> frames;  // innermost first
};

struct GoroutineSummary {
  TimeNs time = 0;  // when they were read
  uint64_t count = 0;
  std::vector<GoroutineGroup> groups;  // heaviest first
};

// Calls of a rare function of the Go runtime from one stack, since memwhy attached.
struct GoCallSummary {
  std::string what;               // "large_allocation" | "heap_grow" | "scavenge"
  uint64_t calls = 0, bytes = 0;  // of scavenge what was asked for, without calls for all there is
  uint64_t object_bytes = 0;      // of each large object, in whole Go pages; 0 others
  TimeNs first = 0, last = 0;
  std::vector<std::string> frames;  // innermost first; empty: not known
};

struct ProcessExplanation {
  Pid pid = 0;
  std::string comm, exe, build_id, cgroup;
  std::optional<std::string> container, pod;
  std::optional<uint64_t> started_boottime_ns;
  std::optional<GoSummary> go;
  RssSummary rss;
  std::optional<uint64_t> heap_profile_inuse_bytes;
  std::string heap_profile_source = "not_read";  // buckets|file|off_in_binary|unreadable|not_read|not_go
  // Of "buckets": mean bytes between two samples; absent: not known, and then inuse_bytes is absent too.
  std::optional<uint64_t> heap_profile_rate;
  bool heap_profile_rate_assumed = false;  // releases before 1.24 do not tell theirs
  std::optional<GoroutineSummary> goroutines;
  std::vector<GoCallSummary> go_calls;  // most bytes of each function first
  std::vector<LedgerLine> ledger;       // heaviest first; Σ bytes == rss.bytes
  std::vector<TimelinePoint> timeline;
  std::vector<TimelineEvent> events;
  std::vector<std::pair<std::string, uint64_t>> beside_rss;
  std::vector<Finding> findings;  // heaviest cause first, problems before explanations
  ProcessCoverage coverage;
  std::optional<std::string> note;  // "no scan was completed: …"
  uint64_t scans = 0;
  std::optional<TimeNs> scan_time;  // of the scan that the ledger is of
  std::optional<uint64_t> threads;
  bool replaced = false;  // by exec: this is what the process was before
};

// A probe on the Go runtime: what it cost while it was attached.
struct ProbeCost {
  std::string name;  // as the hook: "go_large_allocation"
  uint64_t hits = 0;
  double hits_per_s = 0, ns_per_hit = 0;  // of its program; the breakpoint itself costs about as much again
};

struct RecordingCoverage {
  std::vector<events::Hook> hooks;
  std::vector<events::Privilege> privileges;  // that the recorder kept
  std::string stack_read;
  std::vector<std::string> not_seen;
  uint64_t events_seen = 0, events_lost = 0;
  uint64_t faults_seen = 0, faults_lost = 0, stacks_lost = 0;
  std::optional<double> bpf_cpu_share;  // of one CPU
  std::vector<ProbeCost> probes;        // that were hit
  bool complete = false;
  std::string ended;  // "stopped|target_exited|killed|size|duration"
  std::vector<std::string> damage;
  uint64_t processes_left_out = 0;                       // of which nothing is known but that they were there
  std::vector<std::pair<std::string, uint64_t>> losses;  // what did not arrive, by kind
};

struct Explanation {
  TimeNs start = 0, end = 0;
  std::optional<events::ClockAnchor> anchor;  // to print times as RFC 3339
  events::RecordingInfo recording;
  std::vector<ProcessExplanation> processes;
  RecordingCoverage coverage;
};

}  // namespace memwhy::explain
