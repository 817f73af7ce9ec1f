// SPDX-License-Identifier: Apache-2.0
// What recording costs, in memwhy's own CPU time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "record/clock.h"

namespace memwhy::record {

struct RuntimeCost {
  std::string runtime;  // "go"
  uint64_t reads = 0, cpu_ns = 0;
};

struct TargetCost {
  SpaceId space{};
  Pid tgid = 0;
  uint64_t scans = 0, scan_cpu_ns = 0;
  uint64_t table_reads = 0, table_cpu_ns = 0;
  uint64_t counter_reads = 0, counter_cpu_ns = 0;
  std::vector<RuntimeCost> runtimes = {};
};

// Adds the CPU time of a scope to a counter.
class CpuMeter {
 public:
  CpuMeter(Clock& clock, uint64_t& sum) : clock_(clock), sum_(sum), begun_(clock.thread_cpu_ns()) {}
  ~CpuMeter() { sum_ += clock_.thread_cpu_ns() - begun_; }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

 private:
  Clock& clock_;
  uint64_t& sum_;
  uint64_t begun_;
};

}  // namespace memwhy::record
