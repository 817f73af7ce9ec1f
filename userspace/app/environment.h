// SPDX-License-Identifier: Apache-2.0
// What this process may do and what this kernel can do: checked before recording, and printed by `memwhy
// doctor`. Not the choice of hooks: the probe makes it by trying each of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/privilege.h"
#include "base/result.h"
#include "procfs/root.h"

namespace memwhy::app {

struct Capability {
  std::string name;     // "CAP_BPF"
  std::string purpose;  // "load the BPF programs"
  std::string without;  // what is degraded; "" recording is impossible without it
  bool held = false;
};

// Those that recording uses, in the order in which it needs them. `effective` is CapEff of /proc/self/status.
std::vector<Capability> capabilities(uint64_t effective);
std::vector<Capability> own_capabilities();
// What is kept of them once memwhy is attached.
PrivilegePlan own_privileges(bool rotates);

struct Feature {
  std::string name;      // "kernel BTF"
  std::string state;     // "6.18.44", "yes", "no", "[madvise]"
  std::string degraded;  // what that means; "" nothing is lost
  bool fatal = false;    // recording is impossible
};

// How pages are found: by PAGEMAP_SCAN (`scan`), else by reading pagemap, which takes the numbers of frames
// (`frames`: they are shown to us).
Feature page_scan_feature(bool scan, bool frames);

// What the running kernel offers, each found by looking or trying, not by its version.
std::vector<Feature> kernel_features();

// kEnvironment, with one sentence about what is missing for what, and what to do: no privilege, no
// BTF, a page size or machine that memwhy does not know.
Status check_recording_possible();
// kEnvironment: the numbers of this procfs are not those that the hooks in the kernel see.
Status check_namespace(const procfs::Root& proc);

}  // namespace memwhy::app
