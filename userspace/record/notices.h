// SPDX-License-Identifier: Apache-2.0
// Notices: the HookReport of the recording: which hooks exist, and sentences about what is not seen, by the kernel side or
// because the sampler left it out. Emitted when it changes. Not the coverage (intake.h), and not a Loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "record/world.h"

namespace memwhy::record {

constexpr size_t kMostNotices = 16;  // a sentence each; further ones are counted

class Notices {
 public:
  explicit Notices(const World& world) : world_(world) {}

  // Emitted once, and again when it changes.
  void hooks();
  void add(std::string sentence);
  // Children that ended before they were read; reported with the hooks.
  void add_unmet(uint64_t children) { unmet_ += children; }
  bool any_unmet() const { return unmet_ != 0; }

 private:
  void keep(std::string sentence);

  const World& world_;
  std::optional<events::HookReport> hooks_;
  std::vector<std::string> sentences_;  // the first ones ...
  size_t more_ = 0;                     // ... and how many more
  uint64_t unmet_ = 0;
};

}  // namespace memwhy::record
