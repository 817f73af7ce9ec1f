// SPDX-License-Identifier: Apache-2.0
// The runtimes and allocators that this memwhy knows: one line each in runtimes.cpp. A line has the function that opens the
// runtime of a process, and the lines of the ledger for its pages.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "app/file_texts.h"
#include "events/runtime_lines.h"
#include "explain/owner_table.h"
#include "files/children.h"
#include "goruntime/open_program.h"
#include "procfs/process.h"
#include "record/sources.h"

namespace memwhy::app {

// What a runtime may be opened with; all of it outlives what is opened.
struct TargetProcess {
  files::Children& files;
  procfs::Process& process;
  const std::vector<events::Vma>& vmas;
  goruntime::FilesWithoutGo& without_go;  // remembered from one time to the next
  FileTexts* texts = nullptr;             // of all processes; nullptr: what may be in a file is searched for
  files::MemoryReader::Shared* memory = nullptr;  // of its readers; nullptr: each opens it for itself
};

struct Runtime {
  // nullptr: the process does not have it.
  std::unique_ptr<record::RuntimeSource> (*open)(const TargetProcess& target);
  // nullptr: its lines are built in.
  events::RuntimeLines (*lines)();
  // Tried with each pass until the process has it: the answer is in its mappings, and libc is mapped after exec.
  bool later = false;
};

// That of Go alone; nullptr: not a Go program.
std::unique_ptr<record::RuntimeSource> open_go_of(const TargetProcess& target);

// In the order in which they claim pages.
const std::vector<Runtime>& runtimes();

explain::OwnerTable owner_table();

}  // namespace memwhy::app
