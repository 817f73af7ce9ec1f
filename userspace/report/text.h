// SPDX-License-Identifier: Apache-2.0
// The explanation as a person reads it in a terminal. The screen (max 60 lines for an ordinary process): a verdict, the
// problems, the ledger that adds up, its largest pieces, one line on how well they are known. `full` prints all of it: every
// piece of evidence, stacks, retention, goroutines, events, how it was recorded. Prints what explain/ computed; computes only
// units.
//
//   race_service (pid 30656): 844.7 MiB resident; 804.3 MiB (95 %) are the race detector's     verdict()
//   PROBLEM race-detector …                                                                    text_findings.cpp
//        MiB   share    MiB/min  owner                                                         text_ledger.cpp
//      663.5  78.6 %       +0.1  race.shadow       ███████████████▊
//   Known: …                                                                                   text_coverage.cpp
#pragma once

#include <string>

#include "explain/explanation.h"
#include "report/page.h"

namespace memwhy::report {

struct TextOptions {
  bool full = false;
  double min_share = 0;  // of RSS: smaller lines of the ledger are added up in one
  Style style = {};
};

std::string to_text(const explain::Explanation& explanation, const TextOptions& options = {});

}  // namespace memwhy::report
