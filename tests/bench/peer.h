// SPDX-License-Identifier: Apache-2.0
// Peer: another tracer, the real program, attached to the target while a block of passes is measured.
// attach() returns when its hook is in place (asked of the kernel, or acknowledged by the tool), never after
// a guess.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "child.h"

namespace memwhy::bench {

enum class PeerKind { kBpftrace, kPerf };

class Peer {
 public:
  // `cpus`: where the tool itself may run, away from the target. `scratch`: a folder for what perf writes.
  static Result<Peer> attach(PeerKind kind, pid_t target, const std::vector<int>& cpus,
                             const std::string& scratch);
  void detach();

 private:
  Peer(Child child, std::string data) : child_(std::move(child)), data_(std::move(data)) {}
  Child child_;
  std::string data_;  // perf's file; removed by detach()
};

// The command as a user would type it, for the report.
std::string command_of(PeerKind kind);

}  // namespace memwhy::bench
