// SPDX-License-Identifier: Apache-2.0
#include "record/clock.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "base/time.h"

namespace memwhy::record {
TimeNs SystemClock::now() { return clock_ns(CLOCK_MONOTONIC); }

uint64_t SystemClock::thread_cpu_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int SystemClock::this_thread() { return ::gettid(); }

// schedstat: time on a CPU, time ready and waiting for one, turns.
uint64_t SystemClock::starved_ns(int thread) {
  unsigned long long waited = 0;
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/schedstat";
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    if (std::fscanf(file, "%*u %llu", &waited) != 1) waited = 0;
    std::fclose(file);
  }
  return waited;
}

void SystemClock::wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake, TimeNs deadline) {
  using std::chrono::nanoseconds;
  using std::chrono::steady_clock;
  const TimeNs at = now();
  if (deadline <= at) return;
  wake.wait_until(lock, steady_clock::now() + nanoseconds(deadline - at));
}

}  // namespace memwhy::record
