// SPDX-License-Identifier: Apache-2.0
// What memwhy may still do once it is attached. Each of its threads gives up every capability that its work does not need, for
// itself and for anything it might start; none comes back.
//
// What it is not: a protection of other processes' memory. CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH stay as long as processes are
// read, and suffice to read each of them. The rest goes: modules, devices, mounts, network, owners of files, other users'
// identities.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/recording.h"

namespace memwhy::app {

enum class Worker : uint8_t { kSampler, kIntake, kSink, kTeaching, kMain, kSignals };

struct PrivilegePlan {
  uint64_t sampler = 0, intake = 0, sink = 0, teaching = 0, main = 0;  // capabilities, as bits

  uint64_t of(Worker worker) const;
  // What stays, for whom, and why: {"CAP_BPF", "kept by sampler, intake: to …"}.
  std::vector<events::Privilege> told() const;
};

// Of the capabilities `held` (CapEff). `spares_admin`: the kernel has PAGEMAP_SCAN (6.7), and so what else spares
// CAP_SYS_ADMIN, and no setting asks for it. `rotates`: further files are created while it records.
PrivilegePlan plan_privileges(uint64_t held, bool spares_admin, bool rotates);

// The calling thread keeps these, and never gets others: bounding set, permitted and effective set, no_new_privs.
Status keep_only(uint64_t capabilities);

}  // namespace memwhy::app
