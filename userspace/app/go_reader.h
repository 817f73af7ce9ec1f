// SPDX-License-Identifier: Apache-2.0
// record::GoSource over goruntime/: opens the program's file to learn the Go version and where its tables
// begin, and the process's memory to read them. One for each traced process that is a Go program.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "app/go_probe_plan.h"
#include "base/fd.h"
#include "base/ids.h"
#include "events/event.h"
#include "goruntime/go_process.h"
#include "record/sources.h"

namespace memwhy::app {

class GoReader final : public record::GoSource {
 public:
  // nullptr: not a Go program, or its file or memory could not be opened (symbols/ tells of that).
  static std::unique_ptr<GoReader> open(int proc_root, const Fd& process, Pid tgid,
                                        const std::vector<events::Vma>& vmas);

  // What the program's file says, at addresses of the process. nullopt: as above.
  static std::optional<goruntime::GoProgram> program(int proc_root, Pid tgid,
                                                     const std::vector<events::Vma>& vmas,
                                                     ProgramToProbe* to_probe = nullptr);

  events::GoHeap heap(const events::PageScan& scan) override { return process_.heap(scan); }
  std::optional<events::GoStatistics> statistics() override { return process_.statistics(); }
  events::GoProfile profile() override { return process_.profile(); }
  std::optional<events::GoGoroutines> goroutines() override { return process_.goroutines(); }
  std::optional<events::GoProbePlan> probe_plan() override { return std::exchange(plan_, std::nullopt); }

 private:
  GoReader(goruntime::GoProcess process, events::GoProbePlan plan)
      : process_(std::move(process)), plan_(std::move(plan)) {}

  goruntime::GoProcess process_;
  std::optional<events::GoProbePlan> plan_;  // until it is taken
};

}  // namespace memwhy::app
