// SPDX-License-Identifier: Apache-2.0
// ProbedProcess: the process that a plan of probes is for, as whoever attaches them needs it: the file that has the code, and what
// may be asked of the process meanwhile. Which instructions are probed is the plan's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"

namespace memwhy::events {

struct ProbedProcess {
  Fd file;  // that has the code
  // The byte of the process at an address; nullopt: it is gone, or can't be read. By any thread.
  std::function<std::optional<uint8_t>(uint64_t address)> byte_at;
  // A read of the process never returned: what changes its code waits as well, in the kernel, where nothing ends it, and all
  // forks of the machine with it.
  std::function<bool()> waits;
  // The link of its probes, -1: none any more. A child that never returns has it open too, so that no close here is the
  // last one, which would wait.
  std::function<void(int link)> keep_open;
  Pid tgid = 0;
  std::vector<std::string> not_probed;  // sentences
};

}  // namespace memwhy::events
