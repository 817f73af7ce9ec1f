// SPDX-License-Identifier: Apache-2.0
// Which module of a live process has a Go runtime, and facts from its file, at addresses of the process: where its tables begin,
// which release it is, which functions can be probed. Reading the tables: go_process.h.
//
//   a Go program                     its executable; plugins share its runtime
//   a C program with libjob.so       libjob.so (-buildmode=c-shared, or a plugin): the first one that is mapped
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "events/event.h"
#include "goruntime/dwarf_layout.h"
#include "goruntime/go_process.h"
#include "symbols/binaries.h"

namespace memwhy::goruntime {

// Access to the files of targets.
struct ProgramFiles {
  symbols::Binaries& binaries;
  // The layout of go1.`minor` by debug information (dwarf_layout.h).
  std::function<Result<std::unique_ptr<const DwarfLayout>>(symbols::BinaryHandle, int minor)> go_layout;
};

// Files that were read and are not Go's: each is opened once, however often a process is searched for a Go runtime.
using FilesWithoutGo = std::set<std::pair<uint64_t, uint64_t>>;  // device, inode

struct OpenedProgram {
  symbols::ProcessFile file;  // that has the runtime
  std::string path;           // of it, as the process sees it
  GoProgram program;
  symbols::ProgramFacts facts;      // answers probe_question()
  uint64_t bias = 0;                // how far it was moved from its link-time addresses
  std::vector<std::string> others;  // libraries with a Go runtime of their own, which is not read
};

// nullopt: no Go in it, or its file could not be opened (reported in BinaryInfo). An error, with a sentence: there is, and what
// has to be known of it is not to be had. `files.binaries` must outlive the program.
Result<std::optional<OpenedProgram>> open_program(const ProgramFiles& files, Pid tgid,
                                                  const std::vector<events::Vma>& vmas,
                                                  FilesWithoutGo& without);

}  // namespace memwhy::goruntime
