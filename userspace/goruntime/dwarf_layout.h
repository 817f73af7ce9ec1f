// SPDX-License-Identifier: Apache-2.0
// The layout of a Go release that was never measured, from the debug information of the program itself: for
// releases newer than this memwhy, development builds, and what a distribution changed. Not a parser of DWARF
// (libdw is), and not trusted more than a table: the self-test of pages.h decides here too.
//
//   .debug_info ─► unit "runtime" ─► struct runtime.mspan ─► member startAddr at 24, 8 bytes ─► Layout.mspan.start_addr
//                                 ─► constant runtime.pageSize 8192: what memwhy's readers assume
//                                 ─► variable runtime.waitReasonStrings ─► its words in .data ─► "chan send"
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "goruntime/layout.h"

namespace memwhy::goruntime {

// What a Layout of a table has as literals is kept here.
struct DwarfLayout {
  Layout layout;
  std::vector<std::string> wait_reasons;
};

// Of the program in `file`, whose version is go1.`minor`. An error is the end of a sentence about the program: "its
// debug information has no field runtime.mspan.startAddr". What the nearest measured release has must be there, and a
// constant that the readers rely on must have its value; names of wait reasons may be missing.
Result<std::unique_ptr<const DwarfLayout>> dwarf_layout(const Fd& file, int minor);

}  // namespace memwhy::goruntime
