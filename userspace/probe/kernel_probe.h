// SPDX-License-Identifier: Apache-2.0
// KernelProbe: the programs in the kernel, loaded once for every recording of this process.
//
// What it is: the one owner of the BPF object; nothing else in memwhy uses libbpf. What it is not: a recording's view of
// it, which is a Port (port.h); there may be any number. What comes next: hub.h, which is what they share.
//
//   page faults, system calls, lives ─► one object ─► port of 4711's recording
//   of every process                                └► port of 4800's recording
//
// An object for each recording would run each program once more for every fault of the machine. Nothing is attached while no
// address space is traced.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "memwhy/abi/table.h"
#include "probe/allocation_probes.h"
#include "probe/port.h"
#include "probe/run_time.h"
#include "probe/unwinding.h"

namespace memwhy::probe {

// Sizes are powers of two, at most the defaults (include/memwhy/abi/limits.h); 0: the default.
struct Options {
  uint32_t ring_bytes = 0;  // a page at least
  uint32_t chunks = 0;      // 2 MiB of address space each
  uint32_t stacks = 0;      // distinct stacks held at once
  uint32_t spaces = 0;      // address spaces traced at once
  uint32_t read_how =
      MW_READ_MEMORY;  // enum mw_read_how: stacks this way or, where the kernel refuses, the next simpler
  bool rules = true;   // stacks by unwind rules; false: by frame pointers alone
  bool check_trails = false;  // each trail is compared with the walk (trail.bpf.h): for tests
  RunTime::Mode run_time = RunTime::Mode::kOff;  // whether the programs' run time is measured, and when
  // {"page_fault_user", "raw_tp"}: use this way and no other. Names as in bpf/README.md; "none": leave the
  // hook out.
  std::vector<std::pair<std::string, std::string>> force_hook;
  // Probes of the Go runtime: "uprobe_multi" or "uprobe" and no other way, "none": not at all; "": the best available.
  std::string go_probes;
  uint32_t go_hits_per_s = 2000;      // of one function; above it is given up
  bool allocation_probes = true;      // false: their program is not loaded
  AllocationBudget allocations = {};  // sampled calls of malloc of one process
};

class KernelProbe {
 public:
  // Loads the programs, choosing for each hook the cheapest way that this kernel has. kEnvironment: says what
  // is missing.
  static Result<std::unique_ptr<KernelProbe>> open(const Options& options = {});
  KernelProbe(const KernelProbe&) = delete;
  KernelProbe& operator=(const KernelProbe&) = delete;

  // A recording's own. It may outlive this.
  std::unique_ptr<Port> port();

  // Of all ports, since the programs were loaded.
  events::Coverage coverage();

  // What whoever learns unwind rules needs. nullptr: stacks are found by frame pointers alone, and why is in the hook report.
  // It may outlive this.
  std::unique_ptr<Unwinding> unwinding();

 private:
  explicit KernelProbe(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {}
  std::shared_ptr<Hub> hub_;
};

// A probe with one port.
Result<std::unique_ptr<Port>> open_port(const Options& options = {});

}  // namespace memwhy::probe
