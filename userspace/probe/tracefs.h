// SPDX-License-Identifier: Apache-2.0
// TraceFs: the numbers of classic tracepoints, also where tracefs is not mounted.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::probe {

class TraceFs {
 public:
  // The mounted one, else a mount of our own that is attached nowhere: it leaves no trace on the system.
  static Result<TraceFs> open();

  // Of "syscalls/sys_enter_mmap". kEnvironment: this kernel has no such tracepoint.
  Result<uint64_t> id(const std::string& tracepoint) const;

 private:
  explicit TraceFs(Fd events) : events_(std::move(events)) {}
  Fd events_;  // the directory events/
};

}  // namespace memwhy::probe
