// SPDX-License-Identifier: Apache-2.0
// CPU time of processes that have ended, as the kernel accounts for it.
#pragma once

#include <sys/resource.h>

#include <cstdint>

#include "base/time.h"

namespace memwhy::app {

inline uint64_t cpu_ns(const rusage& used) {
  const auto ns = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * kNsPerSecond + static_cast<uint64_t>(time.tv_usec) * 1000;
  };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

}  // namespace memwhy::app
