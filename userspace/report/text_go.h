// SPDX-License-Identifier: Apache-2.0
// The Go parts of the text report: what its heap profile shows beside RSS, its settings, its goroutines.
#pragma once

#include <string>
#include <vector>

#include "explain/explanation.h"
#include "report/page.h"

namespace memwhy::report {

// For the head of a process; empty when it is not a Go program. `full`: its heap's settings, pauses and allocation too.
std::vector<std::string> go_lines(const explain::ProcessExplanation& process, bool full);
// A table; nothing when goroutines were not read.
void print_goroutines(Page& page, const explain::ProcessExplanation& process,
                      const timeline::WallClock& clock);

}  // namespace memwhy::report
