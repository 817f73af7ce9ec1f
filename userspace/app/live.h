// SPDX-License-Identifier: Apache-2.0
// One live recording from the command line, from attaching to the end of the file: what `record` and `explain
// -p` share.
//
// What it is: the file, the command that memwhy starts, signals, and progress at a terminal. What it is not: how the rooms are
// put together (parts.h), what is attached and when it ends (recording.h), the schedule of readings (record/), or the answer
// (explain/).
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/live_view.h"
#include "app/signals.h"
#include "app/targets.h"
#include "base/fd.h"
#include "base/result.h"
#include "events/recording.h"
#include "trace/writer.h"

namespace memwhy::app {

struct LiveRequest {
  Targets targets;
  std::optional<std::chrono::nanoseconds> duration;
  bool quiet = false;
  bool no_uprobes = false;
  bool who_allocates = false;
  bool probes_asked() const { return no_uprobes || who_allocates; }
  std::vector<std::string> debug_directories;  // where debug files of programs may lie, too
  std::string output;                          // a file to make; "": one without a name
  uint64_t max_part_bytes = 0;                 // 0: one part
  std::shared_ptr<LiveView> view;  // nullptr: none. With one and no `output` there is no file at all
};

struct LiveResult {
  std::string
      ended;  // "stopped" | "duration" | "target_exited" | "output_full" | "size" | "out_of_memory" | "failed"
  std::string target;  // "pid 4711 (web)", for sentences
  trace::WriterTotals totals;
  std::chrono::nanoseconds elapsed{0};
  std::optional<Error> failure;  // the recording is whole up to here: the disk or memory was full
  Fd file;                       // the last part, for reading; invalid: there is none
};

// --no-uprobes and --who-allocates.
void add_probe_options(CLI::App& command, LiveRequest& request);

// Records until the duration is over, every target is gone, a signal came, or the output takes no more. An
// Error means that nothing was recorded, and that no file is left.
Result<LiveResult> record_live(const LiveRequest& request);

// Attaches every hook to memwhy itself for a moment, and reports which way each took.
Result<events::HookReport> try_hooks();

}  // namespace memwhy::app
