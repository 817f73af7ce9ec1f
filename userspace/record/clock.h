// SPDX-License-Identifier: Apache-2.0
// The clock of a Session, replaceable so that tests can run its schedule without waiting.
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
  virtual uint64_t own_cpu_ns() { return thread_cpu_ns(); }  // without what others take for it
  // How long a thread of memwhy's was ready to run without a CPU; 0 where the kernel does not count it.
  virtual int this_thread() { return 0; }
  virtual uint64_t starved_ns(int /*thread*/) { return 0; }
  // Until `wake` is notified or it is `deadline`. May return early.
  virtual void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake, TimeNs deadline) = 0;
};

class SystemClock : public Clock {
 public:
  TimeNs now() override;
  uint64_t thread_cpu_ns() override;
  int this_thread() override;
  uint64_t starved_ns(int thread) override;
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake, TimeNs deadline) override;
};

}  // namespace memwhy::record
