// SPDX-License-Identifier: Apache-2.0
// Signals that end a recording: the first SIGINT, SIGTERM or SIGHUP finishes it, the second ends memwhy at once, whatever
// its other threads do.
//
// A thread of its own waits for the first. From then on only this thread has them unblocked, with their default action: no
// signal is ever lost. Made before any other thread, so that every thread inherits the mask. Not a handler: no system call of
// a reading is interrupted.
#pragma once

#include <signal.h>

#include <chrono>
#include <memory>

#include "base/result.h"

namespace memwhy::app {

// SIGPIPE and SIGXFSZ: a write that fails returns an error.
void ignore_write_signals();

class StopSignals {
 public:
  // Blocks the signals for this and all later threads.
  static Result<StopSignals> take();
  StopSignals(StopSignals&&) noexcept;
  StopSignals& operator=(StopSignals&&) = delete;
  ~StopSignals();

  // Waits for a signal at most this long. true: one came, now or before; the next one kills.
  bool wait(std::chrono::nanoseconds timeout);
  bool stopped() const;

  // In a forked child, before exec: what it would have had without us.
  void restore_in_child() const;

 private:
  class Waiter;
  StopSignals(std::unique_ptr<Waiter> waiter, sigset_t before);
  std::unique_ptr<Waiter> waiter_;
  sigset_t before_;
};

}  // namespace memwhy::app
