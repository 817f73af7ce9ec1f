// SPDX-License-Identifier: Apache-2.0
// record::GoSource over goruntime/: what the program's file says (asked through symbols::Binaries: the Go version, where its
// tables begin), and the process's memory to read them. One for each traced process that is a Go program.
#pragma once

#include <functional>
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
#include "symbols/binaries.h"

namespace memwhy::app {

// Who knows the files of targets.
struct ProgramFiles {
  symbols::Binaries& binaries;
  // The layout of go1.`minor` by debug information (goruntime/dwarf_layout.h).
  std::function<Result<std::unique_ptr<const goruntime::DwarfLayout>>(symbols::BinaryHandle, int minor)>
      go_layout;
};

class GoReader final : public record::GoSource {
 public:
  // nullptr: not a Go program, or its file or memory could not be opened (the names of its stacks tell of that).
  // `files.binaries` must outlive it.
  static std::unique_ptr<GoReader> open(const ProgramFiles& files, const Fd& process, Pid tgid,
                                        const std::vector<events::Vma>& vmas);

  // What the program's file says, at addresses of the process. nullopt: as above.
  static std::optional<goruntime::GoProgram> program(const ProgramFiles& files, Pid tgid,
                                                     const std::vector<events::Vma>& vmas,
                                                     ProgramToProbe* to_probe = nullptr);

  events::GoHeap heap(const events::PageScan& scan) override { return process_.heap(scan); }
  std::optional<events::GoStatistics> statistics() override { return process_.statistics(); }
  events::GoProfile profile() override { return process_.profile(); }
  std::optional<events::GoGoroutines> goroutines() override { return process_.goroutines(); }
  std::vector<std::string> take_notices() override { return process_.take_notices(); }
  void stop_when(const std::function<bool()>& stop) override { process_.stop_when(stop); }
  std::optional<events::GoProbePlan> probe_plan() override { return std::exchange(plan_, std::nullopt); }

 private:
  GoReader(goruntime::GoProcess process, events::GoProbePlan plan)
      : process_(std::move(process)), plan_(std::move(plan)) {}

  goruntime::GoProcess process_;
  std::optional<events::GoProbePlan> plan_;  // until it is taken
};

}  // namespace memwhy::app
