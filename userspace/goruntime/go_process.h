// SPDX-License-Identifier: Apache-2.0
// GoProcess: the Go runtime of one live process, read from outside. Finds its tables once, reads them on
// request, and never trusts them unchecked: a layout that fails its self-test gives the OS view and one
// sentence, not a number.
//
// Reading is harmless: no stop, only pages that are resident. Each reading has a budget (remote/budget.h); what that
// did not allow is reported: as unknown pages, unread goroutines, an incomplete walk, and a sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "events/event.h"
#include "events/go_runtime.h"
#include "goruntime/buckets.h"
#include "goruntime/collections.h"
#include "goruntime/dwarf_layout.h"
#include "goruntime/globals.h"
#include "remote/budget.h"
#include "remote/memory.h"

namespace memwhy::goruntime {

// What is known of the program's file.
struct GoProgram {
  std::string version;           // "go1.26.8"; "" unknown
  Image image;                   // addresses of the process
  bool profiling_linked = true;  // the program has the functions that read its heap profile
  AddressRange sampler = {};     // code of runtime.profilealloc; empty: unknown
  uint64_t finalizer_entry = 0;  // of the goroutine that runs finalizers; 0: unknown
  // The layout by the program's debug information, of a release without a measured one; empty: not to be read.
  std::function<Result<std::unique_ptr<const DwarfLayout>>(int minor)> own_layout = {};
  // By its file, at addresses of the process: where its variables are, in order; and what is known of those at these
  // addresses, "" nothing. Empty, or no answer: nothing is known of them.
  struct VariableName {
    std::string name,
        used_by;  // by its symbol table; where that was stripped, functions whose code refers to it
  };
  std::function<std::vector<AddressRange>()> variables = {};
  std::function<std::vector<VariableName>(const std::vector<uint64_t>&)> variable_names = {};
};

// What the runtime holds pages for, and how that was read.
struct HeapReading {
  events::RuntimePages pages;
  events::GoReading how;
};

struct GoroutineList;
struct Groups;
struct HeapPages;
struct SpanTable;

class GoProcess {
 public:
  // `clocks`: by which the time of a reading is judged.
  GoProcess(std::shared_ptr<remote::RemoteMemory> memory, GoProgram program,
            remote::BudgetClocks clocks = remote::BudgetClocks::system());

  // Before anything was found or when it was not: why. "" after success.
  const std::string& problem() const { return problem_; }

  // The pages of the profiles' buckets are those that profile() met.
  HeapReading heap(const events::PageScan& scan);
  // nullopt: the tables were not found.
  std::optional<events::GoStatistics> statistics();
  // nullopt: stopped (stop_when), and an earlier one was whole.
  std::optional<events::GoProfile> profile();
  // Groups by stack, reason and creation site, with what each alone keeps. `with_holders`: also what the whole heap hangs from.
  // nullopt: not found, or stopped, and an earlier one was whole.
  std::optional<events::GoGoroutines> goroutines(bool with_holders = false);

  // Polled while something is read: true ends that reading, and those that begin later. What it left out is reported.
  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }
  // What readings had to leave out since the last call, as sentences; each once.
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }

 private:
  enum Cut : uint8_t {
    kCutHeap = 1,
    kCutProfile = 2,
    kCutGoroutines = 4,
    kCutWalk = 8,
    kCutGroups = 16,
    kCutHolders = 32
  };

  bool find();
  void add_runs(HeapPages& pages, const SpanTable& spans, const events::PageScan& scan,
                events::RuntimePages& out) const;
  void tell(Cut which, std::string sentence);
  bool before_stands(const remote::Budget& budget, bool read_before, Cut which, std::string_view what);
  bool finalizer_waits(const GoroutineList& list) const;
  // The pages of the heap as they are now; nullopt: not to be read.
  std::optional<SpanTable> spans_now(remote::RemoteMemory& memory);
  void tell_kept(remote::RemoteMemory& memory, SpanTable& spans, const GoroutineList& list,
                 const Groups& groups, events::GoGoroutines& out);
  void tell_holders(SpanTable& spans, const GoroutineList& list, const Groups& groups,
                    events::GoGoroutines& out);
  const Layout* layout();  // nullptr: problem_ has the reason

  std::shared_ptr<remote::RemoteMemory> memory_;
  GoProgram program_;
  remote::BudgetClocks clocks_;
  std::unique_ptr<const DwarfLayout> own_layout_;  // no table has this release
  bool own_layout_tried_ = false;
  std::optional<Globals> globals_;
  Collections collections_;
  BucketPages buckets_;
  int searches_ = 0;
  std::string problem_;
  std::vector<AddressRange> resident_;  // by the last scan
  std::function<bool()> stop_;
  std::vector<std::string> notices_;
  uint8_t told_ = 0;                                   // of Cut
  bool profile_read_ = false, walk_finished_ = false;  // whole, at least once
};

// Joins the heap's pages with what is resident: runs in order of page, with uses of events::GoUse.
std::vector<events::RuntimeRun> join_residency(const HeapPages& pages, const SpanTable& spans,
                                               std::span<const events::ScanRun> resident);

}  // namespace memwhy::goruntime
