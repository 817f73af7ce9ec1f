// SPDX-License-Identifier: Apache-2.0
// Rule: one cause of resident memory. It sees the ledger and the cells below it, the history, the coverage and the facts
// of the process, and nothing else. One cause is one file, and one line in causes.h.
//
// A finding explains (shows where the bytes are) or is a problem (someone should act). A problem needs
// max(16 MiB, 10 % of RSS); a growth is judged by growth.h. A healthy process has no problem.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explain/allocation_sites.h"
#include "explain/allocator_facts.h"
#include "explain/cgroup.h"
#include "explain/go/facts.h"
#include "explain/growth.h"
#include "explain/heaviest.h"
#include "explain/history.h"
#include "explain/ledger.h"
#include "explain/runtimes.h"

namespace memwhy::explain {

struct ProcessFacts {
  std::string comm;
  std::optional<events::GoBuild> go;
  bool race_build = false;
  size_t threads = 0;
  const events::BinaryInfo* exe = nullptr;                  // nullptr: unknown
  const std::vector<events::Thread>* list = nullptr;        // of the threads, as of the last scan
  std::optional<events::Counters> counters = std::nullopt;  // the last ones
  std::optional<TimeNs> counters_time = std::nullopt;       // when they were read
  std::optional<TimeNs> oom_time = std::nullopt;            // the kernel chose it to be killed
  // Of one that was: the code that touched pages since the last scan, as "alloc (main.c:7)", most first.
  std::vector<std::pair<std::string, uint64_t>> touched_last = {};
  std::optional<events::SharedPages> shared = std::nullopt;  // of the last scan
};

// What a rule may know.
struct Case {
  const ProcessFacts& process;
  const Ledger& ledger;
  const Attribution& attribution;      // cells, mappings, stacks and frames
  const std::vector<Sample>& samples;  // scans
  const ProcessCoverage& coverage;
  std::string_view largest_family;        // of the owner family that holds most bytes
  const GoFacts* go = nullptr;            // nullptr: not a Go program
  const GoSummary* go_summary = nullptr;  // what is reported of it besides the findings
  std::optional<uint64_t> start_rss_bytes;
  std::span<const AllocatorFacts> allocators = {};  // those that were read
  const std::vector<Sample>& moments;     // scans, and RSS in the time between: growth is judged by these
  const CgroupSummary* cgroup = nullptr;  // that limits it; nullptr: nothing was recorded of it
  const AllocationSites* allocations = nullptr;  // nullptr: no call of malloc was sampled
  std::span<const TrendPoint> peaks = {};  // the highest RSS so far, by the kernel: each time it was read
};

class Rule {
 public:
  virtual ~Rule() = default;
  virtual std::optional<Finding> judge(const Case& c) const = 0;
};

const std::vector<const Rule*>& all_rules();
// The findings of every rule of all_rules(); at least the largest owner is explained. Problems first, then by
// bytes.
std::vector<Finding> findings(const Case& c);

// Below, what rules share.

uint64_t problem_threshold(const Ledger& ledger);
double share_of(uint64_t bytes, const Ledger& ledger);
const LedgerLine* line_of(const Ledger& ledger, Owner owner);
const LedgerLine* line_of(const Ledger& ledger, std::string_view id);  // also of a registered owner
const AllocatorFacts* allocator_facts(
    const Case& c, std::string_view allocator);  // nullptr: it has none, or it was not read
// "path: 12.0 MiB" or "12.0 MiB by main.leak (main.go:7)" for the heaviest entries of a line.
std::vector<std::string> heaviest_texts(const Case& c, Owner owner, size_t most);
// "pages first touched: 218.2 MiB by leak (main.c:7)", of those of which it was seen.
std::vector<std::string> touched_texts(const Case& c, Owner owner, size_t most);
// "401.1 MiB of it by manual.New (manual.go:40)", of the code that first touched most of an owner's pages; "": none did.
std::string touched_most(const Case& c, Owner owner, std::string_view by = "by");
// "12.0 MiB (34 %)"
std::string bytes_and_share(uint64_t bytes, const Ledger& ledger);
// One of explain/runtimes.h that does that is mapped.
bool has_runtime(const Case& c, bool UnreadRuntime::*that);
// A garbage-collecting runtime with unread counters: a JVM, V8, .NET. Until it collects, its heap rises.
bool collects_unseen(const Case& c);
// How long its anonymous memory must rise to be called growth.
double lasting_seconds(const Case& c);
// Not Go's, and malloc's tables were read: other anonymous memory is what it or a library mapped (anon.other, anon.mapped).
bool maps_outside_malloc(const Case& c);
// "the runtime collected 3 times in that time"
std::string collected_text(uint64_t collections);
// mlockall(2), by VmLck: what is given back of such memory stays resident, or comes back at once. madvise(2) refuses to drop it.
bool all_locked(const Case& c);
inline constexpr std::string_view kLockedRemedy =
    "The process locks its memory (mlockall): what is given back stays resident, or comes back at once. Lock "
    "only what must never wait for a page (mlock).";
// Of pages without a stack; of huge pages.
inline constexpr std::string_view kTouchedBefore =
    "these pages were touched before memwhy attached: a recording from the program's start shows the code "
    "that did";
inline constexpr std::string_view kHugeIsWhole =
    "a huge page of 2 MiB is resident as a whole when one byte of it is touched: the program may use much "
    "less";
// ", +3.0 MiB/min" or "" when the growth is unknown or below 1 KiB a minute.
std::string growth_clause(const Trend& trend);
// "rose by 240.0 MiB in 58 s, in each quarter of it and until the end": of a trend that rises.
std::string grown_text(const Trend& trend);

// Of memory that RSS does not count: a finding of no byte of it. figure: a literal, as all names of figures. nullopt: too little.
std::optional<Finding> beside_rss(const Case& c, std::string id, std::string_view figure, uint64_t bytes,
                                  std::string_view where, std::string_view field);

}  // namespace memwhy::explain
