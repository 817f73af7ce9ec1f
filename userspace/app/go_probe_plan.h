// SPDX-License-Identifier: Apache-2.0
// What may be probed in a live Go program: the policy is here (never pid 1, a setuid program,
// or a file that another user serves), the sites come from goruntime/.
#pragma once

#include <memory>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "events/go_probe.h"
#include "remote/memory.h"
#include "symbols/binaries.h"

namespace memwhy::app {

struct ProgramToProbe {
  symbols::ProgramFacts facts;  // answers goruntime::probe_question()
  symbols::ProbedFile file;     // that has the runtime: the executable, or a library of it
  uint64_t bias = 0;            // how far it was moved from its link-time addresses
  bool sampling_linked = false;
  bool setuid = false;  // the executable, whatever file the runtime is in
  bool maps_remote = false;
};

// Whether a file of a FUSE, network or unidentified file system is mapped.
bool maps_remote_files(symbols::Binaries& binaries, Pid tgid, const std::vector<events::Vma>& vmas);

// The process is read through this memory, which the functions keep.
void ask_through(events::ProbedProcess& process, std::shared_ptr<remote::RemoteMemory> memory);

// `memory`: of the process; the plan keeps it.
events::GoProbePlan plan_go_probes(ProgramToProbe program, std::shared_ptr<remote::RemoteMemory> memory,
                                   Pid tgid);

}  // namespace memwhy::app
