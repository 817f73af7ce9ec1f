// SPDX-License-Identifier: Apache-2.0
// What memwhy's BPF programs cost, as the kernel measures it (bpf_enable_stats). While it measures, each run of every
// BPF program of the machine reads the clock twice, which costs more than the run itself where clocks are slow. So it
// is on in windows, and what they show is scaled:
//
//   s   0      0.5   0.55                         5.5   5.55
//       |.......|#####|............................|#####|....     watched 100 ms, 40,000 runs, 6 ms: 6 % of a CPU
//
// Statistics that something else enabled (kernel.bpf_stats_enabled) do not disturb: only a window's increase counts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "events/recording.h"

namespace memwhy::probe {

class RunTime {
 public:
  // kClosely: a window each second, for who keeps to a budget.
  enum class Mode : uint8_t { kOff, kSampled, kClosely, kAlways };
  static constexpr uint64_t kFirstNs = 500'000'000, kPeriodNs = 5'000'000'000, kCloselyNs = 1'000'000'000,
                            kWindowNs = 50'000'000;

  struct Program {
    std::string name;
    uint64_t runs = 0, run_time_ns = 0;  // since load, as counted while statistics were on
  };
  // read: the programs, always in the same order. enable: statistics are on while the descriptor lives.
  RunTime(Mode mode, uint64_t now_ns, std::function<std::vector<Program>()> read, std::function<Fd()> enable);

  // Call it at least each window's length: it opens and closes the windows.
  void tick(uint64_t now_ns);
  // What was counted in the windows up to now.
  std::vector<events::ProgramCost> costs(uint64_t now_ns) const;

 private:
  void open(uint64_t now_ns);
  void close(uint64_t now_ns);

  Mode mode_;
  uint64_t start_ns_;
  std::function<std::vector<Program>()> read_;
  std::function<Fd()> enable_;
  Fd statistics_;                            // of the window that is open
  uint64_t opened_ns_ = 0;                   // when it was
  std::vector<Program> at_open_;             // the programs' counters then
  std::vector<events::ProgramCost> closed_;  // sums of all windows before
};

}  // namespace memwhy::probe
