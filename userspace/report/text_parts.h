// SPDX-License-Identifier: Apache-2.0
// The parts of the text report, in the order in which they are printed. Private to report/.
#pragma once

#include <string>

#include "explain/explanation.h"
#include "report/page.h"

namespace memwhy::report {

// "redis-server (pid 812): 512.0 MiB resident; 381.0 MiB (74 %) are free inside the C heap"
std::string verdict(const explain::ProcessExplanation& process);

// The findings are in order: problems come first.
bool has_problem(const explain::ProcessExplanation& process);
// Problems, or without any, what the memory is. The screen has the evidence of the first one only, and not all of it.
void print_findings(Page& page, const explain::ProcessExplanation& process, bool full);

// Owners with bytes, share, growth and a bar. The screen adds up the smallest ones, and `full` too those below `min_share`.
void print_ledger(Page& page, const explain::ProcessExplanation& process, bool full, double min_share);
// Callers of malloc, if requested.
void print_allocations(Page& page, const explain::ProcessExplanation& process, bool full);
// The container around it as a sum, where it has a limit or in full.
void print_cgroup(Page& page, const explain::ProcessExplanation& process, bool full);
// A requested container: its usage as a sum, with its processes.
void print_container(Page& page, const explain::ContainerSummary& container);

// The screen's: the heaviest stacks, files and mappings of all owners, a line each.
void print_pieces(Page& page, const explain::ProcessExplanation& process);
// Of `full`: the heaviest pieces of each owner, with their stacks.
void print_evidence(Page& page, const explain::ProcessExplanation& process);
// Of `full`: how long pages have been there, and how many come and go.
void print_retention(Page& page, const explain::ProcessExplanation& process);
// Of `full`: steps of RSS, forks, OOM …
void print_events(Page& page, const explain::Explanation& all, const explain::ProcessExplanation& process);

// How far the answer can be trusted: on the screen a line, and one more for each thing that went wrong.
void print_known(Page& page, const explain::Explanation& all, const explain::ProcessExplanation& process);
void print_coverage(Page& page, const explain::ProcessExplanation& process);
void print_recording(Page& page, const explain::Explanation& all);

}  // namespace memwhy::report
