// SPDX-License-Identifier: Apache-2.0
// Stepper: a program that a test lets run instruction by instruction; its registers and stack, and its frames by libdw, which
// is the referee.
#pragma once

#include <elfutils/libdwfl.h>
#include <sys/types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "unwind/learner.h"

namespace memwhy::unwind::testing {

class Stepper {
 public:
  // Runs it up to its own SIGTRAP.
  explicit Stepper(const std::vector<std::string>& command);
  ~Stepper();
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  bool ready() const { return dwfl_ != nullptr; }
  Pid pid() const { return pid_; }
  // False: it has exited.
  bool step();
  // Lets it run, and stops it a while later.
  bool run_for(unsigned microseconds);

  const std::vector<events::Vma>& mappings() const { return mappings_; }
  // `bytes`: of stack, at most.
  Snapshot snapshot(size_t bytes);
  std::vector<uint64_t> referee();

 private:
  bool wait(int* signal);
  bool attach_referee();

  Pid pid_ = -1;
  int signal_ = 0;  // to be delivered
  std::vector<events::Vma> mappings_;
  std::vector<std::byte> stack_;
  Dwfl* dwfl_ = nullptr;
};

}  // namespace memwhy::unwind::testing
