// SPDX-License-Identifier: Apache-2.0
// GoMoments: single calls that can explain a step of the heap, with their time: large allocations from 1 MiB on, and
// requests to give memory back. GoCalls has the sums. Bounded: when it is full, the smaller half of a kind is dropped; of
// equal ones every second.
#pragma once

#include <vector>

#include "base/ids.h"
#include "events/go_probe.h"

namespace memwhy::timeline {

struct GoMoment {
  TimeNs time = 0;
  uint64_t bytes = 0;  // of the object; most that is to be given back, ~0 all there is
  StackId stack{};
};

class GoMoments {
 public:
  static constexpr size_t kMost = 1024;  // of each kind
  static constexpr uint64_t kLeastBytes = uint64_t{1} << 20;

  void add(const events::GoCall& call, TimeNs time);
  // In order of time.
  const std::vector<GoMoment>& allocations() const { return allocations_; }
  const std::vector<GoMoment>& scavenges() const { return scavenges_; }
  size_t memory_bytes() const { return (allocations_.capacity() + scavenges_.capacity()) * sizeof(GoMoment); }

 private:
  static void thin(std::vector<GoMoment>& moments);
  std::vector<GoMoment> allocations_, scavenges_;
};

}  // namespace memwhy::timeline
