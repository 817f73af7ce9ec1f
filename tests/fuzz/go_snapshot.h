// SPDX-License-Identifier: Apache-2.0
// A snapshot of a Go process: the pages that memwhy's readers look at, those of the program's file among them, and what the
// file says.
//
// A snapshot is never made again under the same name: inputs that are kept name it by its place in the list, and say
// which of its words they change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "events/event.h"
#include "fuzz/support/patched.h"
#include "goruntime/go_process.h"

namespace memwhy::fuzz {

struct GoSnapshot {
  goruntime::GoProgram program;  // without its file
  std::vector<events::ScanRun> resident;
  Pages memory, file;
};

std::string to_bytes(const GoSnapshot& snapshot);  // compressed
// Aborts when it is damaged: a target without its snapshots finds nothing.
GoSnapshot snapshot_from(const std::string& file_name);

}  // namespace memwhy::fuzz
