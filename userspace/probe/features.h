// SPDX-License-Identifier: Apache-2.0
// What this kernel offers to the kernel side, for `memwhy doctor`: tested, not guessed from version numbers.
#pragma once

#include <string>
#include <vector>

namespace memwhy::probe {

struct Feature {
  std::string name;  // "BTF", "hook page_fault_user" …
  bool present = false;
  std::string detail;  // how it is used, or what is missing and what that costs; a sentence or ""
};

// Loads and attaches everything for a moment.
std::vector<Feature> features();

}  // namespace memwhy::probe
