// SPDX-License-Identifier: Apache-2.0
// The command of `memwhy record -- CMD`: started by memwhy, and held back until it is being recorded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/signals.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace memwhy::app {

// Not killed when memwhy ends: a recorder does not decide how long its target lives.
class Child {
 public:
  // Forks; the child waits, before exec, for release(). It dies with us as long as it waits.
  static Result<Child> start(const std::vector<std::string>& command, const StopSignals& signals);
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) noexcept = default;

  Pid pid() const { return pid_; }
  // Lets it exec. kTargetGone, with the reason: there is no such program, it may not be run.
  Status release();
  // "exited with status 3", "was killed by SIGSEGV"; nullopt: it still runs. Does not wait.
  std::optional<std::string> ended();

 private:
  Child(Pid pid, std::string name, Fd go, Fd failed)
      : pid_(pid), name_(std::move(name)), go_(std::move(go)), failed_(std::move(failed)) {}
  Pid pid_ = 0;
  std::string name_;
  Fd go_;      // a byte written here lets it exec; closed: it exits
  Fd failed_;  // errno of exec; closed by a successful one
  std::optional<std::string> ended_;
};

}  // namespace memwhy::app
