// SPDX-License-Identifier: Apache-2.0
// FileLimits: what explaining a file may cost, whatever is in the file. A recording may come from anywhere, and a few
// kilobytes can claim pages, mappings and processes without end.
//
// What it is: the last line of defence, for the process as a whole, so that nothing can be forgotten: the kernel refuses memory
// beyond the limit (std::bad_alloc becomes "too large", exit 6), and a thread ends the process when its CPU time is used up.
// What it is not: the bounds of single events (trace/decode.cpp) or of what is kept of one process (timeline/).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace memwhy::app {

struct FileLimits {
  uint64_t memory_bytes = 0;             // 0: a quarter of what the machine has available, at least 256 MiB
  std::chrono::nanoseconds cpu_time{0};  // 0: a minute
};

// --max-memory and --max-time. `doing`: "explaining".
void add_file_limits(CLI::App& command, FileLimits& limits, const std::string& doing);

// A quarter of MemAvailable, and not less than 256 MiB.
uint64_t default_memory_limit();

// Runs `work` within the limits. kBadInput with a sentence about what to do: it needed more memory. When it takes
// more time, the sentence is written to stderr and the process exits with 6: there is no value to give back to work that
// does not come back.
Status within(const FileLimits& limits, const std::string& name, const std::function<Status()>& work,
              const std::string& unfinished = "");

}  // namespace memwhy::app
