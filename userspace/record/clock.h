// SPDX-License-Identifier: Apache-2.0
// The time that a Session lives by, so that tests can run its schedule without waiting.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/ids.h"

namespace memwhy::record {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimeNs now() = 0;              // CLOCK_MONOTONIC, as the kernel's events have it
  virtual uint64_t thread_cpu_ns() = 0;  // CPU time of the calling thread, for what a recording costs
  // Until `wake` is notified or it is `deadline`. May return early.
  virtual void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake, TimeNs deadline) = 0;
};

class SystemClock : public Clock {
 public:
  TimeNs now() override;
  uint64_t thread_cpu_ns() override;
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake, TimeNs deadline) override;
};

}  // namespace memwhy::record
