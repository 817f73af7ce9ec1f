// SPDX-License-Identifier: Apache-2.0
// What may be probed in a live Go program: the policy is here (never pid 1, a setuid program,
// or a file that another user serves), the sites come from goruntime/.
#pragma once

#include "base/fd.h"
#include "base/ids.h"
#include "events/go_probe.h"
#include "symbols/binaries.h"

namespace memwhy::app {

struct ProgramToProbe {
  symbols::ProgramFacts facts;  // asked by goruntime::probe_question()
  symbols::ExecutablePath file;
  uint64_t bias = 0;  // how far it was moved from its link-time addresses
  bool sampling_linked = false;
};

// `process`: its directory in the proc file system.
events::GoProbePlan plan_go_probes(ProgramToProbe program, const Fd& process, Pid tgid);

}  // namespace memwhy::app
