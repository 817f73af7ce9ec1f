// SPDX-License-Identifier: Apache-2.0
// What the process may do, in terms of capabilities(7).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace memwhy::probe {

struct Privilege {
  bool known = false;           // /proc/self/status could be read
  uint64_t effective = 0;       // CapEff
  bool user_namespace = false;  // not the initial one: its capabilities do not count here

  bool has(unsigned capability) const { return effective >> capability & 1; }
  // Names of what loading needs and is not there: "CAP_BPF", "CAP_PERFMON"; empty: all there.
  std::vector<std::string> missing() const;
};

Privilege own_privilege();

// kEnvironment with a sentence, when privilege is what is missing.
std::optional<Error> missing_privilege();

// Whether the kernel measures the run time of BPF programs for us: tested by enabling it for a moment.
bool can_measure_run_time();

}  // namespace memwhy::probe
