// SPDX-License-Identifier: Apache-2.0
// record::GoSource over goruntime/: opens the program's file to learn the Go version and where its tables
// begin, and the process's memory to read them. One for each traced process that is a Go program.
#pragma once

#include <memory>
#include <vector>

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

  events::GoHeap heap(const events::PageScan& scan) override { return process_.heap(scan); }
  std::optional<events::GoStatistics> statistics() override { return process_.statistics(); }
  events::GoProfile profile() override { return process_.profile(); }
  std::optional<events::GoGoroutines> goroutines() override { return process_.goroutines(); }

 private:
  explicit GoReader(goruntime::GoProcess process) : process_(std::move(process)) {}

  goruntime::GoProcess process_;
};

}  // namespace memwhy::app
