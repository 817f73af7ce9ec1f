// SPDX-License-Identifier: Apache-2.0
// record::RuntimeSource of the Go runtime, over the readers in goruntime/. Only the choice of which reading is emitted when is
// made here. One for each traced process that is a Go program.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "events/event.h"
#include "goruntime/go_process.h"
#include "goruntime/open_program.h"
#include "record/sources.h"
#include "remote/memory.h"

namespace memwhy::app {

// The memory of a process, by its directory in the proc file system.
using MemoryOpener =
    std::function<Result<std::unique_ptr<remote::RemoteMemory>>(const Fd& process, Pid tgid)>;

// nullptr: no Go in it. One whose tables cannot be reached is a source too, and reports the reason. `files.binaries` must
// outlive it. `process`: its directory in the proc file system.
std::unique_ptr<record::RuntimeSource> open_go(const goruntime::ProgramFiles& files,
                                               const MemoryOpener& open_memory, const Fd& process, Pid tgid,
                                               const std::vector<events::Vma>& vmas,
                                               goruntime::FilesWithoutGo& without);

class GoReader final : public record::RuntimeSource {
 public:
  GoReader(goruntime::GoProcess process, events::GoProbePlan plan, std::vector<std::string> notices)
      : process_(std::move(process)), plan_(std::move(plan)), notices_(std::move(notices)) {}

  std::string_view name() const override { return events::kGoRuntime; }
  std::string_view title() const override { return "Go"; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& tell) override;
  void counters(const Tell& tell) override;
  void details(Details which, const Tell& tell) override;
  bool has_long_details() const override { return true; }  // of each goroutine
  std::optional<events::RuntimeProbes> probe_plan(record::ProbeWishes wishes) override;
  std::vector<std::string> take_notices() override;
  void stop_when(const std::function<bool()>& stop) override { process_.stop_when(stop); }

 private:
  goruntime::GoProcess process_;
  std::optional<events::GoProbePlan> plan_;  // until it is taken
  std::vector<std::string> notices_;         // until they are taken
};

}  // namespace memwhy::app
