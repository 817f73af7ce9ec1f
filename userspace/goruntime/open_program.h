// SPDX-License-Identifier: Apache-2.0
// What the file of a live program says of its Go runtime, at addresses of the process: where its tables begin, which release
// it is, which functions can be probed. What is read with that is go_process.h's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "goruntime/dwarf_layout.h"
#include "goruntime/go_process.h"
#include "symbols/binaries.h"

namespace memwhy::goruntime {

// Who knows the files of targets.
struct ProgramFiles {
  symbols::Binaries& binaries;
  // The layout of go1.`minor` by debug information (dwarf_layout.h).
  std::function<Result<std::unique_ptr<const DwarfLayout>>(symbols::BinaryHandle, int minor)> go_layout;
};

struct OpenedProgram {
  GoProgram program;
  symbols::ProgramFacts facts;  // asked by probe_question()
  uint64_t bias = 0;            // how far it was moved from its link-time addresses
};

// nullopt: not a Go program, or its file could not be opened (BinaryInfo says so). An error, with a sentence: it is one, and
// what has to be known of it is not to be had. `files.binaries` must outlive the program.
Result<std::optional<OpenedProgram>> open_program(const ProgramFiles& files, Pid tgid,
                                                  const std::vector<events::Vma>& vmas);

}  // namespace memwhy::goruntime
