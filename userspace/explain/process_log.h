// SPDX-License-Identifier: Apache-2.0
// ProcessLog: what happened to one address space besides its pages: forks, exec, OOM, steps of RSS. Bounded: of a
// process that forks all day, the first forks and the number of the others are kept.
#pragma once

#include <vector>

#include "explain/explanation.h"
#include "explain/history.h"

namespace memwhy::explain {

class ProcessLog {
 public:
  void add(TimeNs time, EventWhat what, std::string text, std::optional<uint64_t> bytes = std::nullopt);
  // A step: RSS moved by max(16 MiB, 10 %) from one scan to the next.
  void compare(const Sample& before, const Sample& now, const OwnerTable& table);
  std::vector<TimelineEvent> events() const;

 private:
  std::vector<TimelineEvent> events_;
  uint64_t dropped_ = 0;
  TimeNs last_dropped_ = 0;
};

}  // namespace memwhy::explain
