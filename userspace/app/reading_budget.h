// SPDX-License-Identifier: Apache-2.0
// ReadingBudget: how much memory and CPU time the reading of a recording may take, whatever the recording says.
//
// What it is: the last line, held by the kernel (RLIMIT_DATA, a timer of CPU time), so that it is true of every table and
// string that a file can make grow, in every room. Over it the process ends at once with status 6 and one sentence; nothing
// else is killed for it. What it is not: the bounds of single things (frames of a stack, chunks of a table), which are told
// where they are.
//
// One at a time, while no other thread runs.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/result.h"

namespace memwhy::app {

struct ReadingLimits {
  uint64_t bytes = 0;               // 0: a quarter of what is available, 256 MiB at least
  std::chrono::nanoseconds cpu{0};  // 0: 30 s, and 2 s for each MiB of the file
};

void add_reading_limits(CLI::App& command, ReadingLimits& limits);

class ReadingBudget {
 public:
  ReadingBudget(const ReadingLimits& limits, uint64_t file_bytes);
  ~ReadingBudget();
  ReadingBudget(const ReadingBudget&) = delete;
  ReadingBudget& operator=(const ReadingBudget&) = delete;

  static Error too_large();

 private:
  std::new_handler handler_before_;
  uint64_t data_limit_before_ = 0;
};

// `read` returns a Result.
template <typename Read>
auto within_budget(const ReadingLimits& limits, uint64_t file_bytes, Read read) -> decltype(read()) {
  const ReadingBudget budget(limits, file_bytes);
  try {
    return read();
  } catch (const std::bad_alloc&) {
    return budget.too_large();
  } catch (const std::length_error&) {
    return budget.too_large();
  }
}

}  // namespace memwhy::app
