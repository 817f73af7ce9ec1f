// SPDX-License-Identifier: Apache-2.0
// Signals as something to wait for: the first SIGINT, SIGTERM or SIGHUP finishes the recording, the second
// ends memwhy at once. Made before any thread, so that every thread inherits the mask.
#pragma once

#include <signal.h>

#include <chrono>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::app {

// SIGPIPE and SIGXFSZ: a write that fails says so itself.
void ignore_write_signals();

class StopSignals {
 public:
  // Blocks the signals for this and all later threads. SIGPIPE and SIGXFSZ are ignored: a write that fails
  // says so.
  static Result<StopSignals> take();
  StopSignals(StopSignals&&) noexcept = default;
  StopSignals& operator=(StopSignals&&) = delete;
  ~StopSignals();

  // Waits for a signal at most this long. true: one came, now or before; the next one kills.
  bool wait(std::chrono::nanoseconds timeout);
  bool stopped() const { return stopped_; }

  // In a forked child, before exec: what it would have had without us.
  void restore_in_child() const;

 private:
  StopSignals(Fd fd, sigset_t before) : fd_(std::move(fd)), before_(before) {}
  Fd fd_;
  sigset_t before_;
  bool stopped_ = false;
};

}  // namespace memwhy::app
