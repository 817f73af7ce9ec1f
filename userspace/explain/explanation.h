// SPDX-License-Identifier: Apache-2.0
// Explanation: the whole answer as values, computed once. Formats in report/ only print it; the field names
// are the keys of `memwhy explain --json` (format memwhy.explain/1). Unknown is absent (null), never 0.
// Shares are 0-1, bytes are integers, times are CLOCK_MONOTONIC ns until report/ converts them with the
// anchors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "explain/allocation_sites.h"
#include "explain/attribution.h"
#include "explain/cgroup.h"
#include "explain/finding.h"
#include "explain/go/activity.h"
#include "explain/go/summary.h"
#include "explain/ledger_line.h"
#include "explain/stack_trust.h"
#include "explain/verdict.h"
#include "timeline/wall_clock.h"

namespace memwhy::explain {

// Owners without bytes are left out; Attribution::owner_id() has their ids.
struct OwnerAmount {
  Owner owner{};
  uint64_t bytes = 0;
};
struct OwnerFlow {
  Owner owner{};
  uint64_t arrived = 0, left = 0;  // bytes since the point before
};

struct TimelinePoint {
  TimeNs time = 0;
  uint64_t rss_bytes = 0;
  std::vector<OwnerAmount> ledger;  // empty between scans
  std::vector<OwnerFlow> flows;
  std::array<uint64_t, 4> older = {};  // bytes of a scan, than timeline::kAgeLimits[i]
  std::optional<GoTimelinePoint> go;   // read within half a second of it
};

enum class EventWhat : uint8_t { kCollection, kStep, kReleased, kOom, kExec, kFork, kLimit };
constexpr size_t kEventWhats = 7;

struct TimelineEvent {
  TimeNs time = 0;
  EventWhat what{};
  std::string text;
  std::optional<uint64_t> bytes;
  std::optional<GoCycle> gc = std::nullopt;
};

struct RssSummary {
  uint64_t bytes = 0;  // pages of one scan pass; the ledger's leaves sum to it
  uint64_t anon = 0, file = 0, shmem = 0;
  std::optional<uint64_t> start_bytes, peak_bytes;
  std::optional<uint64_t> counter_bytes,
      counter_error_bytes;  // VmRSS around the pass, with the kernel's error bound
};

// What was read of a runtime or allocator for the ledger.
struct RuntimeReading {
  std::string runtime;          // "go"
  std::string trust;            // "verified" | "unverified" | "unreadable"
  std::string problem;          // one sentence when not verified, or when the ledger has no lines for it
  uint64_t conflict_bytes = 0;  // of what it claims, resident or not: also claimed by a runtime before it
};

struct ProcessCoverage {
  uint64_t unattributed_bytes = 0, before_attach_bytes = 0, truncated_stack_bytes = 0;
  std::optional<int64_t> rss_gap_bytes;  // counter_bytes - bytes
  uint64_t stale_bytes = 0;
  uint64_t lost_stack_bytes = 0;
  StackCoverage stacks = {};    // of pages that have one
  uint64_t doubtful_bytes = 0;  // evidence older than a removal that was lost
  bool scan_complete = true;
  std::optional<GoHeapReading> go_heap;  // absent: the runtime's tables were not used
  std::vector<RuntimeReading> runtimes;  // in the order in which they claim pages
};

// Where the heap profile comes from, or why there is none.
enum class ProfileSource : uint8_t { kNotRead, kFile, kBuckets, kOffInBinary, kUnreadable, kNotGo };
constexpr size_t kProfileSources = 6;

struct ProcessExplanation {
  Pid pid = 0;
  std::string comm, exe, build_id, cgroup;
  std::optional<std::string> container, pod;
  std::optional<uint64_t> started_boottime_ns;
  std::optional<GoSummary> go;
  RssSummary rss;
  std::optional<uint64_t> heap_profile_inuse_bytes;
  ProfileSource heap_profile_source = ProfileSource::kNotRead;
  // Of kBuckets: mean bytes between two samples; absent: unknown, and then inuse_bytes is absent too.
  std::optional<uint64_t> heap_profile_rate;
  bool heap_profile_rate_assumed = false;  // releases before 1.24 hide theirs
  std::optional<GoroutineSummary> goroutines;
  std::vector<HeapHolder> holders;             // in the order in which they were read: of most bytes
  std::vector<GoCallSummary> go_calls;         // most bytes of each function first
  std::optional<AllocationSites> allocations;  // absent: no call of malloc was sampled
  Attribution attribution;                     // of the last scan; Σ of its cells == rss.bytes
  std::vector<LedgerLine> ledger;              // heaviest first; Σ bytes == rss.bytes
  std::vector<TimelinePoint> timeline;
  std::vector<TimelineEvent> events;
  std::vector<std::pair<std::string, uint64_t>> beside_rss;
  std::optional<CgroupSummary> cgroup_memory;  // of the cgroup that limits it
  uint64_t anon_share_bytes = 0;               // of rss.anon, where others map the same pages
  std::vector<Finding> findings;               // heaviest cause first, problems before explanations
  Verdict verdict;
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
  events::HookReport report;  // the last one
  uint64_t events_seen = 0, events_lost = 0;
  uint64_t faults_seen = 0, faults_lost = 0, stacks_lost = 0;
  uint64_t snapshots_taken = 0, snapshots_refused = 0;  // of stacks, to learn unwind rules from
  std::optional<double> bpf_cpu_share;                  // of one CPU
  std::vector<ProbeCost> probes;                        // that were hit
  bool complete = false;
  std::string ended;  // "stopped|target_exited|killed|size|duration"
  std::vector<std::string> damage;
  uint64_t processes_left_out = 0;                       // of which nothing is known but that they were there
  std::vector<std::pair<std::string, uint64_t>> losses;  // what did not arrive, by kind
};

struct Explanation {
  TimeNs start = 0, end = 0;
  timeline::WallClock clock;  // to print times as RFC 3339
  events::RecordingInfo recording;
  std::vector<ProcessExplanation> processes;
  std::optional<ContainerSummary> container;  // requested as a whole
  RecordingCoverage coverage;
};

}  // namespace memwhy::explain
