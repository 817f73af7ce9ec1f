// SPDX-License-Identifier: Apache-2.0
// The explanation as a person reads it in a terminal: problems first, then the ledger that adds up, the
// evidence, retention, coverage. Prints what explain/ computed, and computes nothing but units.
#pragma once

#include <string>

#include "explain/explanation.h"

namespace memwhy::report {

struct TextOptions {
  size_t stacks_per_line = 3;  // heaviest entries shown under each owner
  size_t frames_per_stack = 8;
};

std::string to_text(const explain::Explanation& explanation, const TextOptions& options = {});

}  // namespace memwhy::report
