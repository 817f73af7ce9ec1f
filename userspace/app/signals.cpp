// SPDX-License-Identifier: Apache-2.0
#include "app/signals.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <ctime>

namespace memwhy::app {
namespace {

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);  // nohup stays nohup
  return set;
}

}  // namespace

void ignore_write_signals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

Result<StopSignals> StopSignals::take() {
  const sigset_t set = stop_set();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &set, &before);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return errno_error(ErrorCode::kEnvironment, "waiting for signals", errno);
  return StopSignals(std::move(fd), before);
}

StopSignals::~StopSignals() {
  if (fd_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool StopSignals::wait(std::chrono::nanoseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec limit{seconds.count(), (timeout - seconds).count()};
  pollfd poll{stopped_ ? -1 : fd_.get(), POLLIN, 0};
  if (::ppoll(&poll, 1, &limit, nullptr) == 1) {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      stopped_ = true;
      // Deliverable again, with their default action: the second one kills.
      pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
  }
  return stopped_;
}

void StopSignals::restore_in_child() const {
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace memwhy::app
